"""A storage commitment report as it comes in, and its form in the spool (PS3.4 J.3.3)."""

import json
from datetime import datetime
from typing import Final

from pydicom.dataset import Dataset

from derm_pacs.domain.commitment import Reported
from derm_pacs.domain.identifiers import is_legal_uid
from derm_pacs.domain.study import SpoolPlace
from derm_pacs.spool.journal import Journal
from derm_pacs.spool.record import RecordHeader

EVENTS: Final = frozenset({1, 2})
"""Event Type ID: 1 all committed, 2 failures exist (PS3.4 table J.3-4)."""
_UNSPECIFIED = 0x0110


class MalformedReportError(Exception):
    """The report lacks what the standard demands; the message names the attribute."""


def read_report(information: Dataset) -> Reported:
    """Return what an Event Information says; raises `MalformedReportError`.

    A failed item without Failure Reason (0008,1197) counts as a processing failure (0x0110).
    """
    transaction = str(information.get("TransactionUID", ""))
    if not is_legal_uid(transaction):
        raise MalformedReportError("Transaction UID (0008,1195) is missing or illegal")
    committed = frozenset(_instance(item) for item in information.get("ReferencedSOPSequence") or ())
    failed = tuple(
        (_instance(item), int(item.get("FailureReason") or _UNSPECIFIED))
        for item in information.get("FailedSOPSequence") or ()
    )
    return Reported(transaction_uid=transaction, committed=committed, failed=failed)


def _instance(item: Dataset) -> str:
    uid = str(item.get("ReferencedSOPInstanceUID", ""))
    if not is_legal_uid(uid):
        raise MalformedReportError("Referenced SOP Instance UID (0008,1155) is missing or illegal")
    return uid


def keep_report(
    reported: Reported, *, calling_ae: str, called_ae: str, received_at: datetime, journal: Journal
) -> SpoolPlace:
    """Append a report to the journal as JSON; returns once it is on stable storage, raises what appending raises."""
    header = RecordHeader(kind="commitment_report", calling_ae=calling_ae, called_ae=called_ae, received_at=received_at)
    values = {
        "transaction_uid": reported.transaction_uid,
        "committed": sorted(reported.committed),
        "failed": [list(one) for one in reported.failed],
    }
    return journal.append(header, [json.dumps(values, separators=(",", ":")).encode("ascii")])

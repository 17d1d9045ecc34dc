"""The decision on one received object: checked, written to the spool, or refused with a reason."""

from dataclasses import dataclass
from datetime import datetime

from derm_pacs.domain.errors import Rejected
from derm_pacs.domain.reasons import CLASS_MISMATCH, UID_MISSING
from derm_pacs.domain.study import SpoolPlace
from derm_pacs.receive.header import read_header
from derm_pacs.receive.part10 import file_start
from derm_pacs.spool.journal import Journal
from derm_pacs.spool.record import RecordHeader


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreRequest:
    """What a C-STORE request and its presentation context say of the data set that comes with it."""

    calling_ae: str
    called_ae: str
    sop_class_uid: str
    """Affected SOP Class UID (0000,0002)."""
    sop_instance_uid: str
    """Affected SOP Instance UID (0000,1000)."""
    context_class_uid: str
    """Abstract syntax of the presentation context."""
    transfer_syntax_uid: str
    received_at: datetime
    """Aware, UTC."""


def accept(request: StoreRequest, data: memoryview, journal: Journal) -> SpoolPlace:
    """Check a data set against its request and append it to the journal as a Part 10 file.

    Returns once the bytes are on stable storage. Raises `Rejected` for what the sender must correct, and what
    `Journal.append` raises.
    """
    if request.sop_class_uid != request.context_class_uid:
        raise Rejected(CLASS_MISMATCH, "the request's SOP class is not that of its presentation context")
    facts = read_header(data, request.transfer_syntax_uid)
    if facts.sop_class_uid != request.sop_class_uid:
        raise Rejected(CLASS_MISMATCH, "(0008,0016) is not the request's SOP class")
    if facts.sop_instance_uid != request.sop_instance_uid:
        raise Rejected(UID_MISSING, "(0008,0018) is not the request's SOP instance")
    header = RecordHeader(
        kind="object",
        calling_ae=request.calling_ae,
        called_ae=request.called_ae,
        received_at=request.received_at,
        sop_class_uid=facts.sop_class_uid,
        sop_instance_uid=facts.sop_instance_uid,
        study_instance_uid=facts.study_instance_uid,
        series_instance_uid=facts.series_instance_uid,
        transfer_syntax_uid=request.transfer_syntax_uid,
    )
    start = file_start(
        sop_class_uid=facts.sop_class_uid,
        sop_instance_uid=facts.sop_instance_uid,
        transfer_syntax_uid=request.transfer_syntax_uid,
        calling_ae=request.calling_ae,
        called_ae=request.called_ae,
    )
    return journal.append(header, [start, data])

"""A storage commitment report, from its Event Information to its record."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from derm_pacs.domain.commitment import Reported
from derm_pacs.receive.commitment import MalformedReportError, keep_report, read_report
from derm_pacs.spool.journal import Journal
from derm_pacs.spool.read import Position, payload, records


def reference(uid: str | None, reason: int | None = None) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = "1.2.840.10008.5.1.4.1.1.66.4"
    if uid is not None:
        item.ReferencedSOPInstanceUID = uid
    if reason is not None:
        item.FailureReason = reason
    return item


def report(transaction: str | None = "1.2.9") -> Dataset:
    made = Dataset()
    if transaction is not None:
        made.TransactionUID = transaction
    return made


def test_a_report_says_what_is_kept_and_what_is_not() -> None:
    information = report()
    information.ReferencedSOPSequence = [reference("1.2.1"), reference("1.2.2")]
    information.FailedSOPSequence = [reference("1.2.3", 0x0112), reference("1.2.4")]
    assert read_report(information) == Reported(
        transaction_uid="1.2.9", committed=frozenset({"1.2.1", "1.2.2"}), failed=(("1.2.3", 0x0112), ("1.2.4", 0x0110))
    )


def test_empty_sequences_are_a_report_of_nothing() -> None:
    assert read_report(report()) == Reported(transaction_uid="1.2.9", committed=frozenset(), failed=())


@pytest.mark.parametrize("transaction", [None, "", "no uid"])
def test_a_report_without_transaction_is_malformed(transaction: str | None) -> None:
    with pytest.raises(MalformedReportError, match="0008,1195"):
        read_report(report(transaction))


def test_an_item_without_instance_is_malformed() -> None:
    information = report()
    information.ReferencedSOPSequence = [reference(None)]
    with pytest.raises(MalformedReportError, match="0008,1155"):
        read_report(information)


def test_a_kept_report_is_json_in_the_spool(tmp_path: Path) -> None:
    reported = Reported(transaction_uid="1.2.9", committed=frozenset({"1.2.2", "1.2.1"}), failed=(("1.2.3", 274),))
    with Journal(tmp_path / "j", segment_bytes=10**6, reserve_bytes=0) as journal:
        keep_report(
            reported, calling_ae="PACS", called_ae="DERMPACS", received_at=datetime(2026, 3, 1, tzinfo=UTC), journal=journal
        )
    (record,) = records(tmp_path / "j", Position(0, 0))
    assert record.header.kind == "commitment_report"
    assert (record.header.calling_ae, record.header.sop_instance_uid) == ("PACS", "")
    assert json.loads(payload(tmp_path, record.place)) == {
        "transaction_uid": "1.2.9",
        "committed": ["1.2.1", "1.2.2"],
        "failed": [["1.2.3", 274]],
    }

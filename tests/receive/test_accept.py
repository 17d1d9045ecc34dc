"""The decision on one object, with a real journal."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from derm_pacs.domain.errors import Busy, Rejected
from derm_pacs.domain.reasons import CLASS_MISMATCH, DISK_RESERVE, NOT_DICOM, UID_MISSING
from derm_pacs.receive.accept import StoreRequest, accept
from derm_pacs.spool.journal import Journal
from derm_pacs.spool.read import Position, payload, records

DERMOSCOPIC = "1.2.840.10008.5.1.4.1.1.77.1.7"
REQUEST = StoreRequest(
    calling_ae="SENDER",
    called_ae="DERMPACS",
    sop_class_uid=DERMOSCOPIC,
    sop_instance_uid="1.2.3.4.5",
    context_class_uid=DERMOSCOPIC,
    transfer_syntax_uid="1.2.840.10008.1.2.1",
    received_at=datetime(2026, 3, 1, tzinfo=UTC),
)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / "j", segment_bytes=10**6, reserve_bytes=0) as journal:
        yield journal


@pytest.fixture
def data(dataset: Callable[..., Dataset], encoded: Callable[..., bytes]) -> memoryview:
    return memoryview(encoded(dataset()))


def test_an_accepted_object_is_in_the_spool_with_its_facts(tmp_path: Path, journal: Journal, data: memoryview) -> None:
    place = accept(REQUEST, data, journal)
    (record,) = records(tmp_path / "j", Position(0, 0))
    assert record.place == place
    assert payload(tmp_path, place).endswith(data)
    header = record.header
    assert (header.kind, header.calling_ae, header.called_ae) == ("object", "SENDER", "DERMPACS")
    assert (header.study_instance_uid, header.series_instance_uid) == ("1.2.3", "1.2.3.4")
    assert (header.sop_class_uid, header.sop_instance_uid) == (DERMOSCOPIC, "1.2.3.4.5")
    assert header.received_at == REQUEST.received_at


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (replace(REQUEST, context_class_uid="1.2.840.10008.5.1.4.1.1.7"), CLASS_MISMATCH),
        (
            replace(REQUEST, sop_class_uid="1.2.840.10008.5.1.4.1.1.7", context_class_uid="1.2.840.10008.5.1.4.1.1.7"),
            CLASS_MISMATCH,
        ),
        (replace(REQUEST, sop_instance_uid="1.2.3.4.6"), UID_MISSING),
        (replace(REQUEST, sop_instance_uid="../../etc/passwd"), UID_MISSING),
        (replace(REQUEST, transfer_syntax_uid="1.2.840.10008.1.2.2"), NOT_DICOM),
    ],
)
def test_what_contradicts_its_request_is_refused_and_not_written(
    tmp_path: Path, journal: Journal, data: memoryview, request_: StoreRequest, reason: object
) -> None:
    with pytest.raises(Rejected) as caught:
        accept(request_, data, journal)
    assert caught.value.reason is reason
    assert list(records(tmp_path / "j", Position(0, 0))) == []


def test_the_disk_reserve_goes_up_to_the_listener(tmp_path: Path, data: memoryview) -> None:
    with Journal(tmp_path / "k", segment_bytes=10**6, reserve_bytes=2**60) as journal, pytest.raises(Busy) as caught:
        accept(REQUEST, data, journal)
    assert caught.value.reason is DISK_RESERVE

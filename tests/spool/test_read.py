"""Reading: in order, from where one stopped, never past what is whole."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from derm_pacs.domain.errors import Defect, Transient
from derm_pacs.domain.reasons import JOURNAL_FAILED, SPOOL_MISSING
from derm_pacs.spool.journal import Journal
from derm_pacs.spool.read import Position, listeners, payload, records, sync
from derm_pacs.spool.record import RecordHeader
from derm_pacs.spool.segment import file_name

MakeHeader = Callable[[str], RecordHeader]


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "j", segment_bytes=5000, reserve_bytes=0)


def uids(directory: Path, after: Position) -> list[str]:
    return [one.header.sop_instance_uid for one in records(directory, after)]


def test_a_directory_that_is_not_there_yet_holds_nothing(tmp_path: Path) -> None:
    assert list(records(tmp_path / "none", Position(0, 0))) == []


def test_reading_goes_on_behind_every_record_also_across_segments(
    tmp_path: Path, journal: Journal, header: MakeHeader
) -> None:
    for number in range(8):
        journal.append(header(f"1.{number}"), [bytes(1500)])
    all_of_them = list(records(tmp_path / "j", Position(0, 0)))
    assert {one.place.segment for one in all_of_them} == {1, 2, 3, 4}
    for number, one in enumerate(all_of_them):
        assert uids(tmp_path / "j", one.next) == [f"1.{later}" for later in range(number + 1, 8)]


def test_what_comes_later_is_found_from_the_last_position(tmp_path: Path, journal: Journal, header: MakeHeader) -> None:
    journal.append(header("1.1"), [b"x"])
    (first,) = records(tmp_path / "j", Position(0, 0))
    assert uids(tmp_path / "j", first.next) == []
    journal.append(header("1.2"), [b"x"])
    assert uids(tmp_path / "j", first.next) == ["1.2"]


def test_segments_that_retention_deleted_are_passed_over(tmp_path: Path, journal: Journal, header: MakeHeader) -> None:
    for number in range(6):
        journal.append(header(f"1.{number}"), [bytes(3000)])
    (tmp_path / "j" / file_name(1)).unlink()
    (tmp_path / "j" / file_name(3)).unlink()
    assert uids(tmp_path / "j", Position(1, 3000)) == ["1.1", "1.3", "1.4", "1.5"]


def test_other_files_in_the_directory_are_passed_over(tmp_path: Path, journal: Journal, header: MakeHeader) -> None:
    journal.append(header("1.1"), [b"x"])
    (tmp_path / "j" / "00000009.journal.copy").write_bytes(b"not ours")
    assert uids(tmp_path / "j", Position(0, 0)) == ["1.1"]


def test_a_reader_beside_the_writer_sees_whole_records_only(tmp_path: Path, journal: Journal, header: MakeHeader) -> None:
    def write() -> None:
        for number in range(150):
            journal.append(header(f"1.{number}"), [b"%d," % number * 100])

    writer = threading.Thread(target=write)
    writer.start()
    position, seen = Position(0, 0), 0
    while seen < 150:
        for record in records(tmp_path / "j", position):
            assert payload(tmp_path, record.place) == b"%d," % seen * 100
            assert record.header.sop_instance_uid == f"1.{seen}"
            position, seen = record.next, seen + 1
    writer.join()


WRITER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from derm_pacs.spool.journal import Journal
from derm_pacs.spool.record import RecordHeader

with Journal(Path(sys.argv[1]), segment_bytes=30_000, reserve_bytes=0, sync=lambda fd: None) as journal:
    for number in range(1500):
        header = RecordHeader(
            kind="object", calling_ae="A", called_ae="B", received_at=datetime.now(UTC), sop_instance_uid=f"1.{number}"
        )
        journal.append(header, [b"%d," % number * (number % 300)])
"""


@pytest.mark.server
def test_a_reader_in_another_process_than_the_writer_sees_whole_records_only(tmp_path: Path) -> None:
    position, seen = Position(0, 0), 0
    with subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path / "j")]) as writer:
        while seen < 1500:
            assert writer.poll() in (None, 0)
            for record in records(tmp_path / "j", position):
                assert record.header.sop_instance_uid == f"1.{seen}"
                position, seen = record.next, seen + 1


def test_a_payload_that_changed_on_the_disk_is_a_defect(tmp_path: Path, journal: Journal, header: MakeHeader) -> None:
    place = journal.append(header("1.1"), [b"abcdef"])
    file = tmp_path / "j" / file_name(1)
    file.write_bytes(file.read_bytes().replace(b"abcdef", b"abcdeg"))
    with pytest.raises(Defect, match="not those that were written") as caught:
        payload(tmp_path, place)
    assert caught.value.reason is SPOOL_MISSING


def test_a_place_that_is_not_there_is_a_defect(tmp_path: Path, journal: Journal, header: MakeHeader) -> None:
    place = journal.append(header("1.1"), [b"abcdef"])
    for wrong in (replace(place, segment=9), replace(place, length=9999), replace(place, offset=10**6)):
        with pytest.raises(Defect) as caught:
            payload(tmp_path, wrong)
        assert caught.value.reason is SPOOL_MISSING


def test_a_sync_tells_when_the_segment_was_cut_under_the_reader(tmp_path: Path, journal: Journal, header: MakeHeader) -> None:
    journal.append(header("1.1"), [b"abcdef"])
    (record,) = records(tmp_path / "j", Position(0, 0))
    sync(tmp_path / "j", 1, end=record.next.offset)
    os.truncate(tmp_path / "j" / file_name(1), 40)
    with pytest.raises(Transient, match="was cut") as caught:
        sync(tmp_path / "j", 1, end=record.next.offset)
    assert caught.value.reason is JOURNAL_FAILED


def test_a_segment_that_is_gone_cannot_be_synced(tmp_path: Path) -> None:
    with pytest.raises(Transient):
        sync(tmp_path, 1)


def test_positions_are_ordered_by_segment_then_offset() -> None:
    assert Position(0, 0) < Position(1, 500) < Position(1, 501) < Position(2, 0)


def test_only_listeners_folders_count_as_spools(tmp_path: Path) -> None:
    """A spool on a file system of its own has lost+found beside them, and what an admin has left there."""
    for name in ("listener-0", "listener-12", "lost+found", "old-listener-0"):
        (tmp_path / name).mkdir()
    (tmp_path / "listener-1").write_text("a file")
    assert listeners(tmp_path) == ["listener-0", "listener-12"]
    assert listeners(tmp_path / "missing") == []

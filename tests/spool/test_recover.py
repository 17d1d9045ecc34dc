"""Recovery: only what was not complete is lost, and no damage goes unseen."""

import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from derm_pacs.spool.journal import Journal
from derm_pacs.spool.read import DamagedRecord, Position, SpooledRecord, payload, records
from derm_pacs.spool.record import RecordHeader
from derm_pacs.spool.recover import recover
from derm_pacs.spool.segment import PREAMBLE, file_name

MakeHeader = Callable[[str], RecordHeader]
sizes = st.lists(st.integers(0, 5000), min_size=1, max_size=6)


def unsynced(_: int) -> None:
    """A sync for tests that look at the bytes in the page cache only."""


def write(directory: Path, header: MakeHeader, lengths: Sequence[int]) -> list[SpooledRecord]:
    with Journal(directory, segment_bytes=10**8, reserve_bytes=0, sync=unsynced) as journal:
        for number, length in enumerate(lengths):
            journal.append(header(f"1.{number}"), [bytes([number]) * length])
    return list(records(directory, Position(0, 0)))


def read_all(directory: Path) -> tuple[list[SpooledRecord], list[DamagedRecord]]:
    position = Position(0, 0)
    found: list[SpooledRecord] = []
    damaged: list[DamagedRecord] = []
    while True:
        try:
            for record in records(directory, position):
                found.append(record)
                position = record.next
        except DamagedRecord as error:
            assert error.next > error.position
            damaged.append(error)
            position = error.next
        else:
            return found, damaged


@settings(max_examples=60, deadline=None)
@given(lengths=sizes, data=st.data())
def test_cut_anywhere_only_incomplete_records_are_lost(header: MakeHeader, lengths: list[int], data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder) / "j"
        written = write(directory, header, lengths)
        file = directory / file_name(1)
        cut = data.draw(st.integers(0, file.stat().st_size), label="cut")
        os.truncate(file, cut)
        whole = [record for record in written if record.next.offset <= cut]
        before, damaged = read_all(directory)
        assert (before, damaged) == (whole, [])
        with Journal(directory, segment_bytes=10**8, reserve_bytes=0, sync=unsynced) as journal:
            journal.append(header("2.1"), [b"after"])
        after, damaged = read_all(directory)
        assert after[:-1] == whole
        assert after[-1].header == header("2.1")
        assert damaged == []
        assert recover(directory) == 0


@settings(max_examples=120, deadline=None)
@given(lengths=sizes, data=st.data())
def test_no_flipped_byte_goes_unseen_and_costs_more_than_its_record(
    header: MakeHeader, lengths: list[int], data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder) / "j"
        written = write(directory, header, lengths)
        file = directory / file_name(1)
        content = bytearray(file.read_bytes())
        place = data.draw(st.integers(0, len(content) - 1), label="place")
        content[place] ^= data.draw(st.integers(1, 255), label="flip")
        file.write_bytes(content)
        found, damaged = read_all(directory)
        if place < PREAMBLE.size:
            assert found == []
            assert [error.position for error in damaged] == [Position(1, 0)]
            return
        hit = next(number for number, record in enumerate(written) if place < record.next.offset)
        assert found == written[:hit] + written[hit + 1 :]
        # The last one cannot be told from one that is being written; recovery decides.
        assert len(damaged) == (0 if hit == len(written) - 1 else 1)


@settings(max_examples=60, deadline=None)
@given(lengths=sizes, data=st.data())
def test_recovery_destroys_no_whole_record_behind_a_damaged_one(
    header: MakeHeader, lengths: list[int], data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder) / "j"
        written = write(directory, header, lengths)
        file = directory / file_name(1)
        content = bytearray(file.read_bytes())
        place = data.draw(st.integers(PREAMBLE.size, len(content) - 1), label="place")
        content[place] ^= 0x40
        file.write_bytes(content)
        hit = next(number for number, record in enumerate(written) if place < record.next.offset)
        cut = recover(directory)
        assert read_all(directory)[0] == written[:hit] + written[hit + 1 :]
        assert (cut > 0) == (hit == len(written) - 1)


def test_a_record_inside_a_torn_payload_is_not_taken_for_one(tmp_path: Path, header: MakeHeader) -> None:
    write(tmp_path / "other", header, [10])
    foreign = (tmp_path / "other" / file_name(1)).read_bytes()
    with Journal(tmp_path / "j", segment_bytes=10**8, reserve_bytes=0) as journal:
        journal.append(header("1.1"), [b"kept"])
        journal.append(header("1.2"), [foreign, foreign[PREAMBLE.size :], bytes(1000)])
    file = tmp_path / "j" / file_name(1)
    os.truncate(file, file.stat().st_size - 10)
    assert recover(tmp_path / "j") > len(foreign)
    assert [one.header.sop_instance_uid for one in records(tmp_path / "j", Position(0, 0))] == ["1.1"]


@pytest.mark.parametrize("rest", [b"", b"\0" * 5000, b"\xd1REC" * 300])
def test_what_a_power_loss_may_leave_behind_is_cut(tmp_path: Path, header: MakeHeader, rest: bytes) -> None:
    written = write(tmp_path / "j", header, [100, 200])
    with (tmp_path / "j" / file_name(1)).open("ab") as file:
        file.write(rest)
    assert recover(tmp_path / "j") == len(rest)
    assert read_all(tmp_path / "j") == (written, [])
    assert payload(tmp_path, written[1].place) == b"\1" * 200


def test_a_torn_preamble_is_cut_and_the_next_start_goes_on(tmp_path: Path, header: MakeHeader) -> None:
    directory = tmp_path / "j"
    directory.mkdir()
    (directory / file_name(7)).write_bytes(b"derm-pacs sp")
    assert read_all(directory) == ([], [])
    with Journal(directory, segment_bytes=10**8, reserve_bytes=0) as journal:
        assert journal.append(header("1.1"), [b"x"]).segment == 8
    found, damaged = read_all(directory)
    assert len(found) == 1
    assert damaged == []

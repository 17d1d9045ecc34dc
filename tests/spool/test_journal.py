"""Appending: what was acknowledged is on the disk, what fails is told and leaves nothing behind."""

import errno
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from derm_pacs.domain.errors import Busy, Transient
from derm_pacs.domain.reasons import DISK_RESERVE, JOURNAL_FAILED
from derm_pacs.spool.journal import Journal
from derm_pacs.spool.read import Position, payload, records
from derm_pacs.spool.record import RecordHeader
from derm_pacs.spool.segment import numbers

MakeHeader = Callable[[str], RecordHeader]


def opened(directory: Path, sync: Callable[[int], None] = os.fdatasync, segment_bytes: int = 1_000_000) -> Journal:
    return Journal(directory, segment_bytes=segment_bytes, reserve_bytes=0, sync=sync)


def uids(directory: Path) -> list[str]:
    return [one.header.sop_instance_uid for one in records(directory, Position(0, 0))]


def test_an_appended_object_is_read_back_byte_for_byte(tmp_path: Path, header: MakeHeader) -> None:
    directory = tmp_path / "spool" / "listener-0"
    with opened(directory) as journal:
        place = journal.append(header("1.1"), [b"first", memoryview(b"second"), b""])
    (record,) = records(directory, Position(0, 0))
    assert record.header == header("1.1")
    assert record.place == place
    assert payload(tmp_path / "spool", place) == b"firstsecond"


def test_append_returns_only_after_the_sync_that_covers_it(tmp_path: Path, header: MakeHeader) -> None:
    synced: list[int] = []

    def sync(fd: int) -> None:
        os.fdatasync(fd)
        synced.append(os.fstat(fd).st_size)

    with opened(tmp_path / "j", sync) as journal:
        for size in (10, 0, 70_000):
            place = journal.append(header("1.1"), [bytes(size)])
            assert synced[-1] >= place.offset + place.length


def test_one_sync_serves_all_that_was_written_while_the_last_one_ran(tmp_path: Path, header: MakeHeader) -> None:
    syncs = 0
    entered, go_on = threading.Event(), threading.Event()

    def sync(fd: int) -> None:
        nonlocal syncs
        syncs += 1
        entered.set()
        assert go_on.wait(10)

    journal = opened(tmp_path / "j", sync)
    with ThreadPoolExecutor(9) as pool:
        first = pool.submit(journal.append, header("1.0"), [b"x"])
        assert entered.wait(10)
        others = [pool.submit(journal.append, header(f"1.{n}"), [b"x"]) for n in range(1, 9)]
        # The eight are written while the first sync runs: their bytes are there before it ends.
        while len(uids(tmp_path / "j")) < 9:
            pass
        assert not first.done()
        go_on.set()
        for one in (first, *others):
            one.result(10)
    assert syncs == 2
    journal.close()


def test_many_threads_lose_and_mix_nothing(tmp_path: Path, header: MakeHeader) -> None:
    directory = tmp_path / "j"
    with opened(directory, segment_bytes=100_000) as journal, ThreadPoolExecutor(8) as pool:
        places = list(pool.map(lambda n: journal.append(header(f"1.{n}"), [b"%d " % n * 500]), range(200)))
    assert sorted(uids(directory)) == sorted(f"1.{n}" for n in range(200))
    for number, place in enumerate(places):
        assert payload(tmp_path, place) == b"%d " % number * 500
    assert len(numbers(directory)) > 3


def test_segments_roll_and_a_large_object_has_one_of_its_own(tmp_path: Path, header: MakeHeader) -> None:
    with opened(tmp_path / "j", segment_bytes=10_000) as journal:
        segments = [journal.append(header("1.1"), [bytes(size)]).segment for size in (4000, 4000, 4000, 50_000, 10)]
    assert segments == [1, 1, 2, 3, 4]


def test_only_the_owner_can_read_the_files(tmp_path: Path, header: MakeHeader) -> None:
    with opened(tmp_path / "spool" / "j") as journal:
        journal.append(header("1.1"), [b"x"])
    (file,) = (tmp_path / "spool" / "j").glob("*.journal")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_a_new_start_begins_a_new_segment(tmp_path: Path, header: MakeHeader) -> None:
    for expected in (1, 2, 3):
        with opened(tmp_path / "j") as journal:
            assert journal.append(header("1.1"), [b"x"]).segment == expected


def test_a_start_without_an_object_leaves_no_segment(tmp_path: Path) -> None:
    opened(tmp_path / "j").close()
    assert numbers(tmp_path / "j") == ()


def test_a_second_writer_is_kept_out(tmp_path: Path) -> None:
    with opened(tmp_path / "j"), pytest.raises(Transient, match="another process") as caught:
        opened(tmp_path / "j")
    assert caught.value.reason is JOURNAL_FAILED
    opened(tmp_path / "j").close()


def test_a_closed_journal_takes_nothing(tmp_path: Path, header: MakeHeader) -> None:
    journal = opened(tmp_path / "j")
    journal.close()
    journal.close()
    with pytest.raises(Transient, match="closed"):
        journal.append(header("1.1"), [b"x"])


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(Transient, match="file/j"):
        opened(tmp_path / "file" / "j")


def test_a_failed_sync_ends_the_segment_and_leaves_nothing_that_was_not_acknowledged(
    tmp_path: Path, header: MakeHeader
) -> None:
    broken = False

    def sync(fd: int) -> None:
        if broken:
            raise OSError(errno.EIO, "Input/output error")
        os.fdatasync(fd)

    with opened(tmp_path / "j", sync) as journal:
        assert journal.append(header("1.1"), [b"kept"]).segment == 1
        broken = True
        with pytest.raises(Transient) as caught:
            journal.append(header("1.2"), [b"lost"])
        assert caught.value.reason is JOURNAL_FAILED
        assert uids(tmp_path / "j") == ["1.1"]
        broken = False
        assert journal.append(header("1.3"), [b"kept"]).segment == 2
    assert uids(tmp_path / "j") == ["1.1", "1.3"]


def test_a_failed_sync_is_told_to_everybody_who_waited_for_that_segment(tmp_path: Path, header: MakeHeader) -> None:
    entered, go_on = threading.Event(), threading.Event()
    calls = 0

    def sync(fd: int) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            entered.set()
            assert go_on.wait(10)
            raise OSError(errno.EIO, "Input/output error")

    journal = opened(tmp_path / "j", sync)
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(journal.append, header("1.0"), [b"x"])
        assert entered.wait(10)
        others = [pool.submit(journal.append, header(f"1.{n}"), [b"x"]) for n in (1, 2, 3)]
        while len(uids(tmp_path / "j")) < 4:
            pass
        go_on.set()
        for one in (first, *others):
            assert isinstance(one.exception(10), Transient)
    assert uids(tmp_path / "j") == []
    assert calls == 1
    assert journal.append(header("1.9"), [b"x"]).segment == 2
    journal.close()


def test_a_sync_that_fails_while_the_segment_rolls_costs_only_that_segment(tmp_path: Path, header: MakeHeader) -> None:
    entered, go_on = threading.Event(), threading.Event()
    calls = 0

    def sync(fd: int) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            entered.set()
            assert go_on.wait(10)
            raise OSError(errno.EIO, "Input/output error")

    journal = opened(tmp_path / "j", sync, segment_bytes=1000)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(journal.append, header("1.0"), [bytes(800)])
        assert entered.wait(10)
        rolling = pool.submit(journal.append, header("1.1"), [bytes(800)])
        go_on.set()
        assert isinstance(first.exception(10), Transient)
        assert rolling.result(10).segment == 2
    journal.close()
    assert uids(tmp_path / "j") == ["1.1"]


def test_the_disk_reserve_is_kept(tmp_path: Path, header: MakeHeader) -> None:
    free = os.statvfs(tmp_path)
    reserve = free.f_bavail * free.f_frsize * 2
    with Journal(tmp_path / "j", segment_bytes=1000, reserve_bytes=reserve) as journal:
        assert journal.free_bytes() < 0
        with pytest.raises(Busy) as caught:
            journal.append(header("1.1"), [b"x"])
        assert caught.value.reason is DISK_RESERVE
    assert numbers(tmp_path / "j") == ()


@pytest.mark.server
def test_the_disk_reserve_counts_the_object_that_is_coming(small_disk: Path, header: MakeHeader) -> None:
    with Journal(small_disk / "j", segment_bytes=10**8, reserve_bytes=3_000_000) as journal:
        journal.append(header("1.1"), [bytes(500_000)])
        with pytest.raises(Busy):
            journal.append(header("1.2"), [bytes(5_000_000)])
        journal.append(header("1.3"), [bytes(500_000)])


@pytest.mark.server
def test_a_full_disk_refuses_cuts_the_half_written_record_and_goes_on(small_disk: Path, header: MakeHeader) -> None:
    taken = small_disk / "taken"
    with opened(small_disk / "j", segment_bytes=10**8) as journal:
        journal.append(header("1.1"), [bytes(100_000)])
        status = os.statvfs(small_disk)
        taken.write_bytes(bytes(status.f_bavail * status.f_frsize - 1_500_000))
        os.sync()
        accepted = ["1.1"]
        with pytest.raises(Busy) as caught:
            for number in range(2, 100):
                journal.append(header(f"1.{number}"), [os.urandom(200_000)])
                accepted.append(f"1.{number}")
        assert caught.value.reason is DISK_RESERVE
        assert 1 < len(accepted) < 20
        assert uids(small_disk / "j") == accepted
        taken.unlink()
        journal.append(header("2.1"), [bytes(200_000)])
        assert uids(small_disk / "j") == [*accepted, "2.1"]
    for record in records(small_disk / "j", Position(0, 0)):
        assert len(payload(small_disk, record.place)) == record.place.length


@pytest.mark.server
def test_a_disk_that_is_full_in_the_middle_of_a_write_leaves_no_trace(small_disk: Path, header: MakeHeader) -> None:
    # free_bytes is asked first; a neighbour that fills the disk afterwards is played by a reserve below zero.
    with Journal(small_disk / "j", segment_bytes=10**9, reserve_bytes=-(10**9)) as journal:
        journal.append(header("1.1"), [bytes(1000)])
        with pytest.raises(Busy) as caught:
            journal.append(header("1.2"), [os.urandom(12_000_000)])
        assert caught.value.reason is DISK_RESERVE
        assert uids(small_disk / "j") == ["1.1"]
        journal.append(header("1.3"), [bytes(1000)])
    assert uids(small_disk / "j") == ["1.1", "1.3"]


@pytest.mark.server
def test_a_device_that_fails_the_sync_ends_the_segment_and_the_next_one_goes_on(
    failing_disk: Any, header: MakeHeader
) -> None:
    directory = failing_disk.folder / "j"
    acknowledged = []
    with opened(directory, segment_bytes=10**8) as journal:
        with pytest.raises(Transient) as caught:
            for number in range(60):
                journal.append(header(f"1.{number}"), [os.urandom(200_000)])
                acknowledged.append(f"1.{number}")
        assert caught.value.reason is JOURNAL_FAILED
        assert 5 < len(acknowledged) < 30
        # The kernel still shows the refused bytes to readers; they are cut away, so filing never takes them.
        assert uids(directory) == acknowledged
        failing_disk.filler.unlink()
        assert journal.append(header("2.1"), [os.urandom(200_000)]).segment == 2
        assert uids(directory) == [*acknowledged, "2.1"]


WRITER = """
import sys, threading
from datetime import UTC, datetime
from pathlib import Path
from derm_pacs.spool.journal import Journal
from derm_pacs.spool.record import RecordHeader

journal = Journal(Path(sys.argv[1]), segment_bytes=300_000, reserve_bytes=0)
out = threading.Lock()

def write(thread):
    number = 0
    while True:
        uid = f"1.{thread}.{number}"
        header = RecordHeader(
            kind="object", calling_ae="A", called_ae="B", received_at=datetime.now(UTC), sop_instance_uid=uid
        )
        journal.append(header, [uid.encode() * (1 + number % 3000)])
        with out:
            print(uid, flush=True)
        number += 1

for thread in range(4):
    threading.Thread(target=write, args=(thread,)).start()
"""


@pytest.mark.server
@pytest.mark.parametrize("acknowledged", [1, 40, 300])
def test_kill_minus_nine_loses_no_acknowledged_record(tmp_path: Path, acknowledged: int) -> None:
    directory = tmp_path / "j"
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(directory)], stdout=subprocess.PIPE, text=True, bufsize=1
    ) as child:
        assert child.stdout is not None
        seen = [child.stdout.readline().strip() for _ in range(acknowledged)]
        child.kill()
        # What was acknowledged between the last line read and the kill still lies in the pipe.
        seen += [line.strip() for line in child.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
    opened(directory).close()
    found = {one.header.sop_instance_uid: one for one in records(directory, Position(0, 0))}
    assert set(seen) <= set(found)
    assert len(found) - len(seen) <= 4
    for uid in seen:
        assert payload(tmp_path, found[uid].place).startswith(uid.encode())

"""Reading the spool: records in order from a position on, a payload by its place."""

import os
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from derm_pacs.domain.errors import Defect, Transient
from derm_pacs.domain.reasons import JOURNAL_FAILED, SPOOL_MISSING
from derm_pacs.domain.study import SpoolPlace
from derm_pacs.spool.record import CHECKSUMS, RecordHeader
from derm_pacs.spool.segment import PREAMBLE, Found, Unfinished, file_name, find, find_behind, numbers, read_key

_LISTENER = re.compile(r"listener-[0-9]+")


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """Where reading stands: the first byte that was not read yet. `Position(0, 0)` is before everything."""

    segment: int
    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SpooledRecord:
    """A complete record."""

    header: RecordHeader
    place: SpoolPlace
    """Of the payload."""
    next: Position
    """Where reading goes on behind this record."""


class DamagedRecord(Defect):
    """A record that was complete once can no longer be read; reading can go on at `next`."""

    def __init__(self, position: Position, next_: Position, detail: str) -> None:
        """`position` is the damaged place, `next_` the next complete record or the next segment."""
        super().__init__(SPOOL_MISSING, detail)
        self.position = position
        self.next = next_


def listeners(spool_root: Path) -> list[str]:
    """Return the names of the listeners that have a spool below the root; what else lies there is passed over."""
    if not spool_root.is_dir():
        return []
    # The root may be a file system of its own, with lost+found and what an admin has put there.
    return sorted(path.name for path in spool_root.iterdir() if _LISTENER.fullmatch(path.name) and path.is_dir())


def records(directory: Path, after: Position) -> Iterator[SpooledRecord]:
    """Yield the complete records behind `after`, in the order in which they were written, up to the present end.

    An incomplete record at the end of the newest segment ends the reading without an error: it is being written, or
    recovery will cut it. Anything else that is damaged raises `DamagedRecord`, which says where reading can go on,
    so that one bad place costs one record and is seen. Raises `Transient(JOURNAL_FAILED)` where the disk fails.
    Segments that retention has deleted are passed over. Records that were not synced yet are among those yielded:
    call `sync` before anything is said to be filed.
    """
    try:
        # Listed before any segment is read: a segment that has a successor here is not written to any more.
        segments = numbers(directory)
    except FileNotFoundError:
        return
    for index, segment in enumerate(segments):
        if segment < after.segment:
            continue
        following = segments[index + 1] if index + 1 < len(segments) else None
        start = after.offset if segment == after.segment else 0
        try:
            fd = os.open(directory / file_name(segment), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            yield from _segment_records(fd, directory.name, segment, start, following)
        except OSError as error:
            raise Transient(JOURNAL_FAILED, f"segment {file_name(segment)} cannot be read: {error.strerror}") from error
        finally:
            os.close(fd)


def _segment_records(
    fd: int, listener: str, segment: int, start: int, following: int | None
) -> Iterator[SpooledRecord]:
    # The size before the key: a preamble that is being written must not look damaged.
    size = os.fstat(fd).st_size
    key = read_key(fd)
    if key is None:
        if size == 0 or (following is None and size < PREAMBLE.size):
            return
        next_segment = Position(segment + 1, 0)
        raise DamagedRecord(Position(segment, 0), next_segment, f"the preamble of segment {file_name(segment)} is damaged")
    offset = max(start, PREAMBLE.size)
    while True:
        found = find(fd, offset, key)
        if isinstance(found, Found):
            yield _spooled(found, listener, segment)
            offset = found.end
            continue
        if os.fstat(fd).st_size <= offset or (following is None and isinstance(found, Unfinished)):
            return
        behind = find_behind(fd, offset, key)
        if behind is None and following is None:
            return
        if isinstance(find(fd, offset, key), Found):
            # Its writer was in the middle of it at the first look; records are written in order, so now it is whole.
            continue
        next_ = Position(segment, behind.offset) if behind is not None else Position(segment + 1, 0)
        detail = f"segment {file_name(segment)} is damaged at {offset}; reading can go on at {next_.segment}:{next_.offset}"
        raise DamagedRecord(Position(segment, offset), next_, detail)


def _spooled(found: Found, listener: str, segment: int) -> SpooledRecord:
    place = SpoolPlace(
        listener=listener, segment=segment, offset=found.payload_offset, length=found.head.payload_length
    )
    return SpooledRecord(header=found.head.header, place=place, next=Position(segment, found.end))


def payload(spool_root: Path, place: SpoolPlace) -> bytes:
    """Return the payload at a place, checked against its CRC-32.

    Raises `Defect(SPOOL_MISSING)` where the segment, the bytes or their checksum are not what was written, and
    `Transient(JOURNAL_FAILED)` where the disk fails.
    """
    name = f"{place.listener}/{file_name(place.segment)}"
    try:
        fd = os.open(spool_root / place.listener / file_name(place.segment), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise Defect(SPOOL_MISSING, f"{name} is not there") from error
    try:
        checksums = os.pread(fd, CHECKSUMS.size, place.offset - CHECKSUMS.size)
        data = _pread_all(fd, place.length, place.offset)
    except OSError as error:
        raise Transient(JOURNAL_FAILED, f"{name} cannot be read: {error.strerror}") from error
    finally:
        os.close(fd)
    if len(data) != place.length or len(checksums) != CHECKSUMS.size:
        raise Defect(SPOOL_MISSING, f"{name} ends before {place.offset} + {place.length}")
    if zlib.crc32(data) != CHECKSUMS.unpack(checksums)[0]:
        raise Defect(SPOOL_MISSING, f"the bytes of {name} at {place.offset} are not those that were written")
    return data


def _pread_all(fd: int, length: int, offset: int) -> bytes:
    # One pread gives at most 2 GiB on Linux.
    first = os.pread(fd, length, offset)
    if len(first) == length or not first:
        return first
    parts = [first]
    done = len(first)
    while done < length and (piece := os.pread(fd, length - done, offset + done)):
        parts.append(piece)
        done += len(piece)
    return b"".join(parts)


def sync(directory: Path, segment: int, *, end: int = 0) -> None:
    """Bring a segment to stable storage, so that nothing is filed that a power loss could take.

    `end`: offset up to which it has been read (`SpooledRecord.next.offset`). Raises `Transient(JOURNAL_FAILED)` where
    the sync fails, or where the segment has become shorter than `end`: its writer's sync failed and cut it.
    """
    name = file_name(segment)
    try:
        fd = os.open(directory / name, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fdatasync(fd)
            size = os.fstat(fd).st_size
        finally:
            os.close(fd)
    except OSError as error:
        raise Transient(JOURNAL_FAILED, f"segment {name} cannot be synced: {error.strerror}") from error
    if size < end:
        raise Transient(JOURNAL_FAILED, f"segment {name} was cut at {size} after it had been read up to {end}")

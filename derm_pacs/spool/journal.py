"""The writer of a spool directory: append, group commit, rolling of segments, disk reserve.

Writing goes in order under one lock; waiting for the disk goes outside it. One waiting thread syncs for all that was
written before, the others wait for it. Only one sync of a segment runs at a time: the kernel tells a failed sync once
for each open file, so a second one beside it could return success for bytes that the first has just lost.
"""

import errno
import fcntl
import logging
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from derm_pacs.domain.errors import Busy, Transient
from derm_pacs.domain.reasons import DISK_RESERVE, JOURNAL_FAILED
from derm_pacs.domain.study import SpoolPlace
from derm_pacs.spool.record import (
    Buffer,
    RecordHeader,
    encode_head,
    encode_header,
    payload_checksum,
    total_length,
)
from derm_pacs.spool.recover import recover
from derm_pacs.spool.segment import PREAMBLE, file_name, new_preamble, numbers, preamble_key

log = logging.getLogger(__name__)

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_VECTORS = 1024  # IOV_MAX of Linux


@dataclass(slots=True, kw_only=True)
class _Segment:
    number: int
    fd: int
    key: bytes
    written: int
    """End of the last whole record; changed under the writing lock only."""
    durable: int = 0
    """End of what a sync has confirmed; this and the two below are changed under the condition only."""
    syncing: bool = False
    failed: bool = False


class Journal:
    """One listener's spool directory, open for appending; safe for many threads, closed to a second process."""

    def __init__(
        self, directory: Path, *, segment_bytes: int, reserve_bytes: int, sync: Callable[[int], None] = os.fdatasync
    ) -> None:
        """Open `directory` (made where missing) and cut a torn tail.

        `segment_bytes`: size at which a new segment is begun; a larger object has a segment of its own.
        `reserve_bytes`: free space of the file system that stays untouched. `sync` brings a file descriptor's bytes
        to stable storage. Raises `Transient(JOURNAL_FAILED)` where the directory cannot be used or another process
        has it open.
        """
        self._directory = directory
        self._segment_bytes = segment_bytes
        self._reserve_bytes = reserve_bytes
        self._sync = sync
        self._writing = threading.RLock()
        self._synced = threading.Condition()
        self._active: _Segment | None = None
        try:
            _make_durable(directory)
            self._directory_fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise Transient(JOURNAL_FAILED, f"{directory} cannot be opened: {error.strerror}") from error
        try:
            fcntl.flock(self._directory_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            recover(directory)
        except BlockingIOError as error:
            os.close(self._directory_fd)
            raise Transient(JOURNAL_FAILED, f"another process writes to {directory}; stop it first") from error
        except OSError as error:
            os.close(self._directory_fd)
            raise Transient(JOURNAL_FAILED, f"{directory} cannot be recovered: {error.strerror}") from error
        self._closed = False

    def __enter__(self) -> Self:
        """Return the journal itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the journal."""
        self.close()

    def append(self, header: RecordHeader, payload: Sequence[Buffer]) -> SpoolPlace:
        """Write a record and return its payload's place once the bytes are on stable storage.

        Raises `Busy(DISK_RESERVE)` where the disk reserve would be touched or the disk is full, `Transient(JOURNAL_FAILED)`
        where writing or syncing fails; nothing of the record is acknowledged then.
        """
        encoded = encode_header(header)
        checksum = payload_checksum(payload)
        length = total_length(payload)
        with self._writing:
            if self._closed:
                raise Transient(JOURNAL_FAILED, f"the journal {self._directory.name} is closed")
            self._respect_reserve(length + len(encoded))
            segment = self._segment_for(length + len(encoded))
            head = encode_head(segment.key, encoded, length, checksum)
            offset = segment.written + len(head)
            self._write(segment, [head, *payload])
            segment.written = end = offset + length
        self._commit(segment, end)
        return SpoolPlace(listener=self._directory.name, segment=segment.number, offset=offset, length=length)

    def close(self) -> None:
        """Sync what was written and let the directory go; a second call does nothing."""
        with self._writing:
            if self._closed:
                return
            self._closed = True
            try:
                self._finish_active()
            finally:
                os.close(self._directory_fd)

    def free_bytes(self) -> int:
        """Return how much may still be written before the disk reserve is touched; negative where it is."""
        status = os.fstatvfs(self._directory_fd)
        return status.f_bavail * status.f_frsize - self._reserve_bytes

    def _respect_reserve(self, coming: int) -> None:
        free = self.free_bytes()
        if free < coming:
            raise Busy(DISK_RESERVE, f"{free + self._reserve_bytes} bytes are free, {self._reserve_bytes} are reserved")

    def _segment_for(self, coming: int) -> _Segment:
        """Return the segment for a record of about `coming` bytes; under the writing lock."""
        active = self._active
        if active is not None and not active.failed:
            if active.written + coming <= self._segment_bytes or active.written == PREAMBLE.size:
                return active
            try:
                self._commit(active, active.written)
            except Transient:
                # Whoever waits for a record of that segment is told the same; this record goes to the next one.
                log.warning("segment %s ended by a failed sync", file_name(active.number))
        if self._active is not None:
            self._retire(self._active)
        self._active = self._begin()
        return self._active

    def _begin(self) -> _Segment:
        number = max(numbers(self._directory), default=0) + 1
        preamble = new_preamble()
        key = preamble_key(preamble)
        if key is None:
            raise RuntimeError("a new preamble does not read back")
        try:
            fd = os.open(
                file_name(number), os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=self._directory_fd
            )
            try:
                _write_all(fd, [preamble], 0)
                os.fsync(self._directory_fd)
            except OSError:
                os.close(fd)
                os.unlink(file_name(number), dir_fd=self._directory_fd)
                raise
        except OSError as error:
            raise _translated(error, f"segment {file_name(number)} cannot be begun") from error
        return _Segment(number=number, fd=fd, key=key, written=PREAMBLE.size, durable=0)

    def _write(self, segment: _Segment, parts: Sequence[Buffer]) -> None:
        try:
            _write_all(segment.fd, parts, segment.written)
        except OSError as error:
            try:
                os.ftruncate(segment.fd, segment.written)
            except OSError:
                log.exception("segment %s: a half-written record cannot be cut away", file_name(segment.number))
                self._retire(segment, failed=True)
            raise _translated(error, f"segment {file_name(segment.number)} cannot be written") from error

    def _commit(self, segment: _Segment, end: int) -> None:
        """Return when the segment is on stable storage up to `end`; raises `Transient` when it never will be."""
        with self._synced:
            while segment.durable < end and not segment.failed and segment.syncing:
                self._synced.wait()
            if segment.durable >= end:
                return
            if segment.failed:
                raise Transient(JOURNAL_FAILED, f"segment {file_name(segment.number)} was not synced")
            segment.syncing = True
            covered = segment.written
        try:
            self._sync(segment.fd)
        except OSError as error:
            self._fail(segment)
            with self._writing:
                self._retire(segment)
            raise Transient(JOURNAL_FAILED, f"segment {file_name(segment.number)}: {error.strerror}") from error
        except BaseException:
            self._fail(segment)
            raise
        with self._synced:
            segment.durable = covered
            segment.syncing = False
            self._synced.notify_all()

    def _fail(self, segment: _Segment) -> None:
        with self._synced:
            segment.failed = True
            segment.syncing = False
            self._synced.notify_all()

    def _retire(self, segment: _Segment, *, failed: bool = False) -> None:
        """End a segment for good; under the writing lock.

        What a failed sync has left behind is cut away, so that filing never takes what was not acknowledged.
        """
        if self._active is not segment:
            return
        self._active = None
        with self._synced:
            # The thread that syncs needs the file, and gives `syncing` back before it asks for the writing lock.
            while segment.syncing:
                self._synced.wait()
            segment.failed = segment.failed or failed
            self._synced.notify_all()
        try:
            if segment.failed:
                os.ftruncate(segment.fd, segment.durable)
        except OSError:
            log.exception("segment %s: records that were not synced cannot be cut away", file_name(segment.number))
        finally:
            os.close(segment.fd)

    def _finish_active(self) -> None:
        if self._active is None:
            return
        segment = self._active
        try:
            self._commit(segment, segment.written)
        finally:
            self._retire(segment)


def _make_durable(directory: Path) -> None:
    """Make a directory and its parents; each new name is synced, else a power loss takes all that lies below."""
    if directory.is_dir():
        return
    _make_durable(directory.parent)
    directory.mkdir(mode=0o700, exist_ok=True)
    fd = os.open(directory.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _translated(error: OSError, what: str) -> Busy | Transient:
    detail = f"{what}: {error.strerror}"
    return Busy(DISK_RESERVE, detail) if error.errno in _FULL else Transient(JOURNAL_FAILED, detail)


def _write_all(fd: int, parts: Sequence[Buffer], offset: int) -> None:
    """Write all parts at `offset`; a short write is gone on with until the kernel says why it is short."""
    left = [memoryview(part).cast("B") for part in parts if memoryview(part).nbytes]
    while left:
        done = os.pwritev(fd, left[:_VECTORS], offset)
        offset += done
        while left and done >= left[0].nbytes:
            done -= left.pop(0).nbytes
        if done:
            left[0] = left[0][done:]

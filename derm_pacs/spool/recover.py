"""Recovery of a spool directory after its writer ended anyhow: the torn tail is cut.

Only the newest segment can be torn: a new one is begun only after the one before it is synced or cut.
What lies behind the last complete record was never acknowledged, for acknowledging waits for the sync of all that was
written before. Where a complete record lies behind a damaged place, the damage is not a torn tail: nothing is cut,
and reading tells of it.
"""

import logging
import os
from pathlib import Path

from derm_pacs.spool.segment import PREAMBLE, Found, file_name, find, find_behind, numbers, read_key

log = logging.getLogger(__name__)


def recover(directory: Path) -> int:
    """Cut the torn tail of the newest segment; return the number of bytes cut.

    The caller holds the directory's lock. Raises `OSError` where the disk does.
    """
    segments = numbers(directory)
    if not segments:
        return 0
    fd = os.open(directory / file_name(segments[-1]), os.O_RDWR | os.O_CLOEXEC)
    try:
        size = os.fstat(fd).st_size
        end = _intact_end(fd, size)
        if end < size:
            log.warning("segment %s: %d bytes of a torn tail cut at %d", file_name(segments[-1]), size - end, end)
            os.ftruncate(fd, end)
        # Complete records may come from a writer that was killed before its sync; filing must not see them vanish.
        os.fsync(fd)
        return size - end
    finally:
        os.close(fd)


def _intact_end(fd: int, size: int) -> int:
    key = read_key(fd)
    if key is None:
        # A preamble is written before any record; one that is short was torn, one that is damaged is not ours to cut.
        return 0 if size <= PREAMBLE.size else size
    offset = PREAMBLE.size
    while offset < size:
        found = find(fd, offset, key)
        if isinstance(found, Found):
            offset = found.end
            continue
        behind = find_behind(fd, offset, key)
        if behind is None:
            return offset
        log.error("a record at %d is damaged, the next complete one begins at %d; nothing is cut", offset, behind.offset)
        offset = behind.end
    return offset

"""Anonymous memory files: how images go to the runner and masks come back, without a name that could be left behind."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def sealed(content: bytes) -> Iterator[int]:
    """Yield the descriptor of a memory file with this content, which nobody can change any more."""
    descriptor = os.memfd_create("derm-pacs-image", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        left = memoryview(content)
        while left:
            left = left[os.write(descriptor, left) :]
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def writable(size: int) -> Iterator[int]:
    """Yield the descriptor of an empty memory file of a fixed size."""
    descriptor = os.memfd_create("derm-pacs-masks", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(descriptor, size)
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
        yield descriptor
    finally:
        os.close(descriptor)


def content(descriptor: int, size: int) -> bytes:
    """Return the first `size` bytes; a read, not a mapping, so that a writer beside us cannot change them later."""
    parts: list[bytes] = []
    done = 0
    while done < size and (part := os.pread(descriptor, size - done, done)):
        parts.append(part)
        done += len(part)
    return b"".join(parts)

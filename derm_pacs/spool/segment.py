"""A segment's file: its name, its preamble, and finding records in it.

A segment begins with a preamble of 32 bytes: name and version of the form, the segment's random key, CRC-32.
"""

import os
import re
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

from derm_pacs.spool.record import MARK, PREFIX, Head, decode_head, head_length

PREAMBLE = struct.Struct("<20s8sI")
_FORM = b"derm-pacs spool 1\n\0\0"
_NAME = re.compile(r"([0-9]{8})\.journal")
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A complete record, its checksums right."""

    head: Head
    offset: int
    """Of the record's first byte in the segment."""

    @property
    def payload_offset(self) -> int:
        """Offset of the payload's first byte in the segment."""
        return self.offset + self.head.length

    @property
    def end(self) -> int:
        """Offset of the first byte behind the record."""
        return self.payload_offset + self.head.payload_length


@dataclass(frozen=True, slots=True)
class Unfinished:
    """The segment ends inside a record whose head is right: nothing can lie behind it."""


@dataclass(frozen=True, slots=True)
class Invalid:
    """No record begins here, or its checksums are wrong, or the segment ends inside the head."""


def file_name(segment: int) -> str:
    """Return the name of a segment's file."""
    return f"{segment:08d}.journal"


def numbers(directory: Path) -> tuple[int, ...]:
    """Return the numbers of the directory's segments, rising; other files are passed over."""
    found = (_NAME.fullmatch(entry.name) for entry in directory.iterdir())
    return tuple(sorted(int(match[1]) for match in found if match))


def new_preamble() -> bytes:
    """Return the preamble of a new segment, with a key of its own."""
    start = PREAMBLE.pack(_FORM, os.urandom(8), 0)[:-4]
    return start + struct.pack("<I", zlib.crc32(start))


def preamble_key(data: bytes) -> bytes | None:
    """Return the key that a preamble holds, None where it is torn, damaged or of another form."""
    if len(data) < PREAMBLE.size:
        return None
    form, key, crc = PREAMBLE.unpack_from(data)
    if form != _FORM or zlib.crc32(data[: PREAMBLE.size - 4]) != crc:
        return None
    return bytes(key)


def read_key(fd: int) -> bytes | None:
    """Return the key of an open segment, None where its preamble cannot be believed."""
    return preamble_key(os.pread(fd, PREAMBLE.size, 0))


def find(fd: int, offset: int, key: bytes) -> Found | Unfinished | Invalid:
    """Say what begins at `offset` of an open segment; the payload is read in pieces and checked."""
    prefix = os.pread(fd, PREFIX.size, offset)
    length = head_length(prefix, key) if len(prefix) == PREFIX.size else None
    if length is None:
        return Invalid()
    data = os.pread(fd, length, offset)
    head = decode_head(data) if len(data) == length else None
    if head is None:
        return Invalid()
    position = offset + length
    left = head.payload_length
    crc = 0
    while left:
        piece = os.pread(fd, min(left, _CHUNK), position)
        if not piece:
            return Unfinished()
        crc = zlib.crc32(piece, crc)
        position += len(piece)
        left -= len(piece)
    return Found(head=head, offset=offset) if crc == head.payload_crc else Invalid()


def find_behind(fd: int, offset: int, key: bytes) -> Found | None:
    """Return the first complete record that begins behind `offset`, None where there is none."""
    magic = MARK + key
    position = offset + 1
    while chunk := os.pread(fd, _CHUNK, position):
        hit = chunk.find(magic)
        if hit < 0:
            if len(chunk) < len(magic):
                return None
            position += len(chunk) - len(magic) + 1
            continue
        found = find(fd, position + hit, key)
        if isinstance(found, Found):
            return found
        position += hit + 1
    return None

"""One record of the journal: its header as a value, and its form on disk.

On disk: magic (4 bytes and the segment's 8-byte key), header length (uint32), payload length (uint64), header (JSON),
CRC-32 of the payload, CRC-32 of everything before it, payload. Integers are little endian. The payload's checksum
stands directly in front of the payload, so that a slice can be checked without its header. The key is random for each
segment: bytes that a peer sends can never look like a record to whoever searches for one behind a damaged place.
"""

import json
import struct
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import Literal, cast, get_args

Kind = Literal["object", "commitment_report"]
Buffer = bytes | memoryview

PREFIX = struct.Struct("<4s8sIQ")
CHECKSUMS = struct.Struct("<II")
MARK = b"\xd1REC"
HEADER_LIMIT = 65_536
"""Bytes of JSON above which a header is not believed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordHeader:
    """Who sent what, when; for a commitment report the UIDs are empty."""

    kind: Kind
    """`object`: the payload is a Part 10 file; `commitment_report`: JSON of an N-EVENT-REPORT."""
    calling_ae: str
    called_ae: str
    received_at: datetime
    """Aware, UTC."""
    sop_class_uid: str = ""
    sop_instance_uid: str = ""
    study_instance_uid: str = ""
    series_instance_uid: str = ""
    transfer_syntax_uid: str = ""

    def __post_init__(self) -> None:
        """Refuse a kind that readers do not know and a time without a zone."""
        if self.kind not in get_args(Kind):
            raise ValueError(f"{self.kind!r} is no kind of record")
        if self.received_at.tzinfo is None:
            raise ValueError("received_at has no time zone")


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What stands in front of a payload."""

    header: RecordHeader
    length: int
    """Bytes of the head itself: the payload begins so far behind the record's first byte."""
    payload_length: int
    payload_crc: int


def payload_checksum(parts: Iterable[Buffer]) -> int:
    """Return the CRC-32 of the joined parts."""
    crc = 0
    for part in parts:
        crc = zlib.crc32(part, crc)
    return crc


def encode_header(header: RecordHeader) -> bytes:
    """Return the header as JSON; raises `ValueError` above `HEADER_LIMIT` bytes."""
    values = asdict(header) | {"received_at": header.received_at.astimezone(UTC).isoformat()}
    data = json.dumps(values, ensure_ascii=True, separators=(",", ":"), sort_keys=True).encode("ascii")
    if len(data) > HEADER_LIMIT:
        raise ValueError(f"the record's header has {len(data)} bytes, the limit is {HEADER_LIMIT}")
    return data


def decode_header(data: bytes) -> RecordHeader:
    """Return the header of its JSON; raises `ValueError` where it is not one of ours."""
    values = json.loads(data)
    if not isinstance(values, dict) or set(values) != {field.name for field in fields(RecordHeader)}:
        raise ValueError("the record's header has other fields than ours")
    if not all(isinstance(value, str) for value in values.values()):
        raise ValueError("the record's header has a field that is no text")
    received_at = datetime.fromisoformat(values.pop("received_at"))
    kind = cast(Kind, values.pop("kind"))
    return RecordHeader(kind=kind, received_at=received_at, **values)


def encode_head(key: bytes, header: bytes, payload_length: int, payload_crc: int) -> bytes:
    """Return all bytes of a record but its payload; `key` is the segment's, `header` comes from `encode_header`."""
    start = PREFIX.pack(MARK, key, len(header), payload_length) + header + struct.pack("<I", payload_crc)
    return start + struct.pack("<I", zlib.crc32(start))


def head_length(prefix: bytes, key: bytes) -> int | None:
    """Return the length of the head that begins with `prefix` (`PREFIX.size` bytes), None where none begins there."""
    mark, found_key, header_length, _ = PREFIX.unpack(prefix)
    if mark != MARK or found_key != key or header_length > HEADER_LIMIT:
        return None
    return PREFIX.size + int(header_length) + CHECKSUMS.size


def decode_head(data: bytes) -> Head | None:
    """Return the head whose whole bytes are `data`, None where its checksum or its header is wrong."""
    payload_crc, head_crc = CHECKSUMS.unpack_from(data, len(data) - CHECKSUMS.size)
    if zlib.crc32(data[:-4]) != head_crc:
        return None
    _, _, _, payload_length = PREFIX.unpack_from(data)
    try:
        header = decode_header(data[PREFIX.size : -CHECKSUMS.size])
    except ValueError:
        return None
    return Head(header=header, length=len(data), payload_length=payload_length, payload_crc=payload_crc)


def total_length(parts: Sequence[Buffer]) -> int:
    """Return the bytes of all parts together."""
    return sum(memoryview(part).nbytes for part in parts)

"""The UIDs at the beginning of a data set, read under limits, without decoding anything else (PS3.5 section 7).

The reader steps over values by their lengths up to Series Instance UID (0020,000E), so it costs microseconds, needs
no copy and trusts nothing: limits hold for bytes, elements and nesting.
"""

import struct
import zlib
from dataclasses import dataclass
from typing import Final

from derm_pacs.domain.classes import DEFLATED, EXPLICIT_BIG_ENDIAN, IMPLICIT_LITTLE_ENDIAN
from derm_pacs.domain.errors import Rejected
from derm_pacs.domain.identifiers import is_legal_uid
from derm_pacs.domain.reasons import HEADER_TOO_LARGE, NOT_DICOM, UID_MISSING

BYTES_LIMIT: Final = 16 * 1024 * 1024
"""Bytes in front of the end of Series Instance UID; also how much of a deflated data set is inflated."""
ELEMENTS_LIMIT: Final = 50_000
"""Elements and items in front of it, those of nested sequences of undefined length included."""
NESTING_LIMIT: Final = 32
"""Sequences of undefined length inside one another."""

_SOP_CLASS = 0x0008_0016
_SOP_INSTANCE = 0x0008_0018
_STUDY = 0x0020_000D
_SERIES = 0x0020_000E
_WANTED = frozenset({_SOP_CLASS, _SOP_INSTANCE, _STUDY, _SERIES})
_ITEM = 0xFFFE_E000
_ITEM_END = 0xFFFE_E00D
_SEQUENCE_END = 0xFFFE_E0DD
_UNDEFINED = 0xFFFF_FFFF
# PS3.5 table 7.1-1 (32-bit length) and 7.1-2 (16-bit length).
_LONG = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
_SHORT = frozenset({
    b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FL", b"FD", b"IS", b"LO", b"LT", b"PN", b"SH", b"SL", b"SS",
    b"ST", b"TM", b"UI", b"UL", b"US",
})  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderFacts:
    """The four UIDs that every storable data set has."""

    sop_class_uid: str
    sop_instance_uid: str
    study_instance_uid: str
    series_instance_uid: str


def read_header(data: memoryview, transfer_syntax_uid: str) -> HeaderFacts:
    """Return the UIDs of a data set as it came over the network.

    Raises `Rejected` with `NOT_DICOM` where it cannot be parsed, `HEADER_TOO_LARGE` beyond the limits, `UID_MISSING`
    where one of the UIDs is missing or illegal.
    """
    if transfer_syntax_uid == DEFLATED:
        data = memoryview(_inflated_start(data))
    explicit = transfer_syntax_uid != IMPLICIT_LITTLE_ENDIAN
    order = ">" if transfer_syntax_uid == EXPLICIT_BIG_ENDIAN else "<"
    values = _Walk(data, order).wanted_values(explicit=explicit)
    if not values:
        raise Rejected(NOT_DICOM, "the data set does not begin like one")
    return HeaderFacts(
        sop_class_uid=_uid(values, _SOP_CLASS),
        sop_instance_uid=_uid(values, _SOP_INSTANCE),
        study_instance_uid=_uid(values, _STUDY),
        series_instance_uid=_uid(values, _SERIES),
    )


def _inflated_start(data: memoryview) -> bytes:
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, BYTES_LIMIT)
    except zlib.error as error:
        raise Rejected(NOT_DICOM, "the deflated data set cannot be inflated") from error


def _uid(values: dict[int, bytes], tag: int) -> str:
    value = values.get(tag)
    if value is None:
        raise Rejected(UID_MISSING, f"{_name(tag)} is missing")
    # Padded with one NUL by the standard, with a space by some devices (PS3.5 section 9.1).
    text = value.rstrip(b"\0 ").decode("ascii", "replace")
    if not is_legal_uid(text):
        raise Rejected(UID_MISSING, f"{_name(tag)} is not a legal UID")
    return text


def _name(tag: int) -> str:
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


@dataclass(frozen=True, slots=True)
class _Element:
    tag: int
    vr: bytes
    length: int
    value: int
    """Offset of the value's first byte."""


class _Walk:
    """One pass over the elements of a data set."""

    def __init__(self, data: memoryview, order: str) -> None:
        self._data = data
        self._size = len(data)
        self._elements = 0
        self._tag = struct.Struct(order + "HH")
        self._short = struct.Struct(order + "H")
        self._long = struct.Struct(order + "I")

    def wanted_values(self, *, explicit: bool) -> dict[int, bytes]:
        """Return the values of the wanted elements by tag, up to Series Instance UID."""
        values: dict[int, bytes] = {}
        position = 0
        while position < self._size:
            element = self._element(position, explicit=explicit)
            if element.tag > _SERIES:
                break
            if element.tag < 0x0008_0000:
                raise Rejected(NOT_DICOM, f"{_name(element.tag)} does not belong into a data set")
            position = self._behind(element, explicit=explicit, depth=0)
            if element.tag in _WANTED and element.length != _UNDEFINED:
                values[element.tag] = bytes(self._data[element.value : position][:128])
            if element.tag == _SERIES:
                break
        return values

    def _element(self, position: int, *, explicit: bool) -> _Element:
        self._count()
        self._need(position, 8)
        tag = self._tag_at(position)
        if tag >> 16 == 0xFFFE:
            raise Rejected(NOT_DICOM, f"{_name(tag)} where an element is due, at byte {position}")
        if not explicit:
            return _Element(tag, b"", self._long_at(position + 4), position + 8)
        vr = bytes(self._data[position + 4 : position + 6])
        if vr in _SHORT:
            return _Element(tag, vr, int(self._short.unpack_from(self._data, position + 6)[0]), position + 8)
        if vr not in _LONG:
            raise Rejected(NOT_DICOM, f"{_name(tag)} has no value representation of the standard, at byte {position}")
        self._need(position, 12)
        return _Element(tag, vr, self._long_at(position + 8), position + 12)

    def _behind(self, element: _Element, *, explicit: bool, depth: int) -> int:
        if element.length != _UNDEFINED:
            return self._advance(element.value, element.length)
        # Unknown VR of undefined length holds a sequence in implicit VR (PS3.5 section 6.2.2, note).
        return self._behind_sequence(element.value, explicit=explicit and element.vr != b"UN", depth=depth + 1)

    def _behind_sequence(self, position: int, *, explicit: bool, depth: int) -> int:
        if depth > NESTING_LIMIT:
            raise Rejected(HEADER_TOO_LARGE, f"more than {NESTING_LIMIT} sequences inside one another")
        while True:
            self._count()
            self._need(position, 8)
            tag, length = self._tag_at(position), self._long_at(position + 4)
            position += 8
            if tag == _SEQUENCE_END:
                return position
            if tag != _ITEM:
                raise Rejected(NOT_DICOM, f"{_name(tag)} where an item is due, at byte {position - 8}")
            if length == _UNDEFINED:
                position = self._behind_item(position, explicit=explicit, depth=depth)
            else:
                position = self._advance(position, length)

    def _behind_item(self, position: int, *, explicit: bool, depth: int) -> int:
        while True:
            self._need(position, 8)
            if self._tag_at(position) == _ITEM_END:
                return position + 8
            element = self._element(position, explicit=explicit)
            position = self._behind(element, explicit=explicit, depth=depth)

    def _advance(self, position: int, length: int) -> int:
        self._need(position, length)
        return position + length

    def _need(self, position: int, length: int) -> None:
        end = position + length
        if end > BYTES_LIMIT:
            raise Rejected(HEADER_TOO_LARGE, f"more than {BYTES_LIMIT} bytes in front of (0020,000E)")
        if end > self._size:
            raise Rejected(NOT_DICOM, f"the data set ends inside an element at byte {position}")

    def _count(self) -> None:
        self._elements += 1
        if self._elements > ELEMENTS_LIMIT:
            raise Rejected(HEADER_TOO_LARGE, f"more than {ELEMENTS_LIMIT} elements in front of (0020,000E)")

    def _tag_at(self, position: int) -> int:
        group, element = self._tag.unpack_from(self._data, position)
        return int(group) << 16 | int(element)

    def _long_at(self, position: int) -> int:
        return int(self._long.unpack_from(self._data, position)[0])

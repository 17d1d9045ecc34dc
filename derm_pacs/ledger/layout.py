"""Where the elements of a data set lie, found without recursion, without copying values and under fixed limits.

The walk looks at tags and lengths alone (PS3.5 section 7), so that neither depth nor size nor the values of an object
that somebody sends can bring down who reads it; pydicom is then given the few elements that are wanted.
"""

import struct
from collections.abc import Container
from dataclasses import dataclass, field

from pydicom.datadict import dictionary_VR

MAX_HEADER_BYTES = 64 * 1024 * 1024
"""Bytes of the data set before its pixel data."""
MAX_ELEMENTS = 100_000
"""Elements before the pixel data, those inside sequences counted; a confocal stack of 1,000 frames has some 15,000."""
MAX_NESTING = 32
"""Sequences inside one another."""

PIXEL_TAGS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
"""Float, Double Float and integer Pixel Data."""
UNDEFINED = 0xFFFFFFFF

_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_LONG_FORM = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})


class LayoutError(ValueError):
    """The bytes are no data set within the limits; the message names the tag or the limit, never a value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pixels:
    """Where the pixel data element's value lies."""

    start: int
    end: int | None
    """None for the undefined length of encapsulated frames."""


@dataclass(slots=True, kw_only=True)
class Layout:
    """What the walk found."""

    wanted: list[tuple[int, int]] = field(default_factory=list)
    """First byte and end of each wanted top-level element, header included."""
    pixels: Pixels | None = None
    header_end: int = 0
    """Offset of the pixel data element, or of the data set's end."""


@dataclass(slots=True)
class _Open:
    """A sequence or an item that the walk is in."""

    end: int | None
    is_item: bool
    implicit: bool


def find_layout(data: memoryview, wanted: Container[int], *, implicit: bool, little: bool) -> Layout:
    """Walk the top-level data set up to its pixel data; raises `LayoutError`."""
    return _Walk(data, wanted, implicit=implicit, little=little).run()


def tag_text(tag: int) -> str:
    """Return the tag as the standard writes it."""
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


class _Walk:
    def __init__(self, data: memoryview, wanted: Container[int], *, implicit: bool, little: bool) -> None:
        order = "<" if little else ">"
        self._data = data
        self._wanted = wanted
        self._implicit = implicit
        self._groups = struct.Struct(order + "HH")
        self._short = struct.Struct(order + "H")
        self._long = struct.Struct(order + "I")
        self._position = 0
        self._elements = 0
        self._stack: list[_Open] = []
        self._root_start: int | None = None
        """Where the wanted top-level sequence begins that the walk is in."""
        self._found = Layout()

    def run(self) -> Layout:
        while True:
            self._leave_what_has_ended()
            if not self._stack and self._position == len(self._data):
                break
            start = self._position
            tag = self._tag()
            if tag >> 16 == 0xFFFE:
                self._delimiter(tag)
            elif self._stack and not self._stack[-1].is_item:
                raise LayoutError(f"{tag_text(tag)} stands in a sequence outside its items")
            elif not self._stack and tag in PIXEL_TAGS:
                self._pixels()
                self._found.header_end = start
                return self._found
            else:
                self._element(start, tag)
        self._found.header_end = self._position
        return self._found

    def _leave_what_has_ended(self) -> None:
        while self._stack and self._stack[-1].end is not None:
            end = self._stack[-1].end
            if self._position < end:
                return
            if self._position > end:
                raise LayoutError("an element passes the end of its item")
            self._leave()

    def _leave(self) -> None:
        self._stack.pop()
        if not self._stack and self._root_start is not None:
            self._found.wanted.append((self._root_start, self._position))
            self._root_start = None

    def _delimiter(self, tag: int) -> None:
        length = self._number(self._long)
        top = self._stack[-1] if self._stack else None
        if top is not None and tag == _ITEM and not top.is_item:
            self._enter(length, is_item=True, implicit=top.implicit)
        elif top is not None and tag == (_ITEM_END if top.is_item else _SEQUENCE_END):
            self._leave()
        else:
            raise LayoutError(f"a delimiter {tag_text(tag)} stands where none belongs")

    def _element(self, start: int, tag: int) -> None:
        self._elements += 1
        if self._elements > MAX_ELEMENTS:
            raise LayoutError(f"the header has more than {MAX_ELEMENTS} elements")
        if tag >> 16 == 0:
            raise LayoutError(f"{tag_text(tag)} belongs to no data set")
        implicit = self._stack[-1].implicit if self._stack else self._implicit
        vr, length = self._vr_and_length(implicit=implicit)
        wanted = not self._stack and tag in self._wanted
        if self._is_sequence(tag, vr, length):
            if wanted:
                self._root_start = start
            self._enter(length, is_item=False, implicit=implicit or vr == b"UN")
            return
        if length == UNDEFINED:
            self._skip_fragments(tag)
        else:
            self._advance(length, tag)
        if wanted:
            self._found.wanted.append((start, self._position))

    def _is_sequence(self, tag: int, vr: bytes | None, length: int) -> bool:
        if vr == b"SQ":
            return True
        if vr is not None and vr != b"UN":
            return False
        if length == UNDEFINED:
            return tag not in PIXEL_TAGS
        try:
            return length > 0 and dictionary_VR(tag) == "SQ"
        except KeyError:
            return False

    def _vr_and_length(self, *, implicit: bool) -> tuple[bytes | None, int]:
        """Return VR (None where it is not written) and length; some writers change to implicit VR inside sequences."""
        vr = bytes(self._data[self._position : self._position + 2])
        if implicit or not (len(vr) == 2 and vr.isalpha() and vr.isupper()):
            return None, self._number(self._long)
        self._position += 2
        if vr in _LONG_FORM:
            self._position += 2
            return vr, self._number(self._long)
        return vr, self._number(self._short)

    def _pixels(self) -> None:
        _, length = self._vr_and_length(implicit=self._implicit)
        start = self._position
        end = None if length == UNDEFINED else min(start + length, len(self._data))
        self._found.pixels = Pixels(start=start, end=end)

    def _skip_fragments(self, tag: int) -> None:
        """Pass over encapsulated frames outside the top level (an icon's)."""
        while True:
            inner = self._tag()
            length = self._number(self._long)
            if inner == _SEQUENCE_END:
                return
            if inner != _ITEM or length == UNDEFINED:
                raise LayoutError(f"{tag_text(tag)} has an undefined length and no fragments")
            self._advance(length, tag)

    def _enter(self, length: int, *, is_item: bool, implicit: bool) -> None:
        end = None if length == UNDEFINED else self._position + length
        if end is not None and end > len(self._data):
            raise LayoutError("the data set ends inside a sequence")
        self._stack.append(_Open(end, is_item, implicit))
        if len(self._stack) > 2 * MAX_NESTING:
            raise LayoutError(f"more than {MAX_NESTING} sequences stand inside one another")

    def _advance(self, length: int, tag: int) -> None:
        self._position += length
        if self._position > len(self._data):
            raise LayoutError(f"the data set ends inside {tag_text(tag)}")
        if self._position > MAX_HEADER_BYTES:
            raise LayoutError(f"the header has more than {MAX_HEADER_BYTES} bytes")

    def _tag(self) -> int:
        if self._position + 4 > len(self._data):
            raise LayoutError("the data set ends inside a tag")
        group, element = self._groups.unpack_from(self._data, self._position)
        self._position += 4
        return int(group) << 16 | int(element)

    def _number(self, form: struct.Struct) -> int:
        if self._position + form.size > len(self._data):
            raise LayoutError("the data set ends inside a length")
        value = form.unpack_from(self._data, self._position)[0]
        self._position += form.size
        return int(value)


def fragments(data: memoryview, start: int, *, little: bool) -> list[memoryview]:
    """Return the encapsulated frames' fragments, without the offset table (PS3.5 section A.4).

    A list that breaks off ends with what is left: whether that can be decoded is not asked here.
    """
    head = struct.Struct("<HHI" if little else ">HHI")
    found: list[memoryview] = []
    position = start
    while position + head.size <= len(data):
        group, element, length = head.unpack_from(data, position)
        position += head.size
        if (group << 16 | element) != _ITEM:
            break
        found.append(data[position : position + length])
        position += length
    return found[1:]

"""The walk over tags and lengths keeps its limits and knows a data set from what is none."""

import struct

import pytest

from derm_pacs.ledger import layout
from derm_pacs.ledger.layout import LayoutError, Pixels, find_layout, fragments

UNDEFINED = b"\xff\xff\xff\xff"
ITEM_END = b"\xfe\xff\x0d\xe0\0\0\0\0"
SEQUENCE_END = b"\xfe\xff\xdd\xe0\0\0\0\0"
WANTED = frozenset({0x00100020, 0x00082218})


def tag(number: int) -> bytes:
    return struct.pack("<HH", number >> 16, number & 0xFFFF)


def short(number: int, vr: bytes, value: bytes) -> bytes:
    return tag(number) + vr + struct.pack("<H", len(value)) + value


def long(number: int, vr: bytes, value: bytes, length: bytes | None = None) -> bytes:
    return tag(number) + vr + b"\0\0" + (length or struct.pack("<I", len(value))) + value


def item(content: bytes, *, defined: bool = True) -> bytes:
    if defined:
        return tag(0xFFFEE000) + struct.pack("<I", len(content)) + content
    return tag(0xFFFEE000) + UNDEFINED + content + ITEM_END


def sequence(number: int, *items: bytes, defined: bool = True) -> bytes:
    content = b"".join(items)
    return long(number, b"SQ", content) if defined else long(number, b"SQ", content + SEQUENCE_END, UNDEFINED)


def walk(data: bytes, *, implicit: bool = False) -> layout.Layout:
    return find_layout(memoryview(data), WANTED, implicit=implicit, little=True)


def refused(data: bytes, *, implicit: bool = False) -> str:
    with pytest.raises(LayoutError) as error:
        walk(data, implicit=implicit)
    return str(error.value)


PATIENT = short(0x00100020, b"LO", b"P1")


def test_wanted_elements_are_found_and_others_passed_over() -> None:
    other = short(0x00080060, b"CS", b"XC")
    found = walk(other + PATIENT + long(0x00100021, b"UT", b"long form"))
    assert found.wanted == [(len(other), len(other) + len(PATIENT))]
    assert found.pixels is None


@pytest.mark.parametrize("defined", [True, False])
def test_a_wanted_sequence_is_found_whole_and_what_is_inside_is_not_taken_for_the_top(*, defined: bool) -> None:
    inner = item(PATIENT + sequence(0x00082218, item(PATIENT, defined=defined), defined=defined), defined=defined)
    whole = sequence(0x00082218, inner, item(b"", defined=defined), defined=defined)
    assert walk(whole + PATIENT).wanted == [(0, len(whole)), (len(whole), len(whole) + len(PATIENT))]


def test_the_walk_ends_at_the_pixel_data() -> None:
    pixels = long(0x7FE00010, b"OW", b"abcd")
    found = walk(PATIENT + pixels + b"whatever follows")
    assert found.header_end == len(PATIENT)
    assert found.pixels == Pixels(start=len(PATIENT) + 12, end=len(PATIENT) + 16)


def test_encapsulated_pixel_data_has_no_end_yet() -> None:
    assert walk(long(0x7FE00010, b"OB", b"", UNDEFINED)).pixels == Pixels(start=12, end=None)


def test_an_icons_fragments_are_passed_over() -> None:
    icon = long(0x7FE00010, b"OB", item(b"") + item(b"\xff\xd8jpeg") + SEQUENCE_END, UNDEFINED)
    whole = sequence(0x00880200, item(PATIENT + icon)) + PATIENT
    assert len(walk(whole).wanted) == 1


def test_unknown_vr_of_undefined_length_is_an_implicit_sequence() -> None:
    implicit = tag(0x00100020) + struct.pack("<I", 2) + b"P1"
    unknown = long(0x00091010, b"UN", item(implicit) + SEQUENCE_END, UNDEFINED)
    assert len(walk(unknown + PATIENT).wanted) == 1


def test_a_known_sequence_written_as_unknown_vr_is_walked() -> None:
    implicit = tag(0x00100020) + struct.pack("<I", 2) + b"P1"
    assert len(walk(long(0x00082218, b"UN", item(implicit)) + PATIENT).wanted) == 2
    too_long = item(tag(0x00100020) + struct.pack("<I", 9)) + bytes(20)
    assert "passes the end" in refused(long(0x00082218, b"UN", too_long))


def test_implicit_sequences_are_known_by_the_dictionary_and_private_ones_are_values() -> None:
    patient = tag(0x00100020) + struct.pack("<I", 2) + b"P1"
    known = tag(0x00082218) + struct.pack("<I", len(item(patient))) + item(patient)
    private = tag(0x00091010) + struct.pack("<I", 4) + b"\xfe\xff\x00\xe0"
    assert len(walk(known + private + patient, implicit=True).wanted) == 2


@pytest.mark.parametrize("defined", [True, False])
def test_nesting_is_limited(*, defined: bool) -> None:
    def nested(depth: int) -> bytes:
        inside = b""
        for _ in range(depth):
            inside = sequence(0x00082218, item(inside, defined=defined), defined=defined)
        return inside

    assert walk(nested(layout.MAX_NESTING)).wanted
    assert "inside one another" in refused(nested(layout.MAX_NESTING + 1))
    assert "inside one another" in refused(nested(400))


def test_elements_and_bytes_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "MAX_ELEMENTS", 10)
    assert walk(PATIENT * 10).wanted
    assert "more than 10 elements" in refused(PATIENT * 11)
    assert "more than 10 elements" in refused(sequence(0x00082218, *[item(PATIENT)] * 10))
    monkeypatch.setattr(layout, "MAX_HEADER_BYTES", 100)
    assert "more than 100 bytes" in refused(long(0x00420011, b"OB", bytes(200)))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (PATIENT[:-1], "ends inside (0010,0020)"),
        (PATIENT[:3], "ends inside a tag"),
        (PATIENT[:7], "ends inside a length"),
        (ITEM_END, "where none belongs"),
        (SEQUENCE_END, "where none belongs"),
        (item(b""), "where none belongs"),
        (sequence(0x00082218, PATIENT), "outside its items"),
        (sequence(0x00082218, item(item(b""))), "where none belongs"),
        (sequence(0x00082218, ITEM_END), "where none belongs"),
        (sequence(0x00082218, item(SEQUENCE_END)), "where none belongs"),
        (long(0x00082218, b"SQ", item(b""), struct.pack("<I", 99)), "ends inside a sequence"),
        (long(0x00082218, b"SQ", tag(0xFFFEE000) + UNDEFINED, UNDEFINED), "ends inside a tag"),
        (sequence(0x00082218, tag(0xFFFEE000) + struct.pack("<I", 4) + PATIENT), "passes the end of its item"),
        (long(0x00420011, b"OB", b"", UNDEFINED) + PATIENT + PATIENT, "no fragments"),
        (bytes(16), "(0000,0000) belongs to no data set"),
    ],
)
def test_what_is_no_data_set_is_refused(data: bytes, message: str) -> None:
    assert message in refused(data)


def test_fragments_that_break_off_end_with_what_is_left() -> None:
    data = memoryview(item(b"table") + item(b"abc") + tag(0xFFFEE000) + struct.pack("<I", 9) + b"de")
    assert [bytes(one) for one in fragments(data, 0, little=True)] == [b"abc", b"de"]
    assert fragments(memoryview(SEQUENCE_END), 0, little=True) == []

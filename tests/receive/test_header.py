"""The UIDs of a data set, read under limits."""

import struct
import tracemalloc
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from derm_pacs.domain.errors import Rejected
from derm_pacs.domain.reasons import HEADER_TOO_LARGE, NOT_DICOM, UID_MISSING, Reason
from derm_pacs.receive.header import BYTES_LIMIT, ELEMENTS_LIMIT, NESTING_LIMIT, HeaderFacts, read_header

IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
DEFLATED = "1.2.840.10008.1.2.1.99"
BIG = "1.2.840.10008.1.2.2"
JPEG = "1.2.840.10008.1.2.4.50"
FACTS = HeaderFacts(
    sop_class_uid="1.2.840.10008.5.1.4.1.1.77.1.7",
    sop_instance_uid="1.2.3.4.5",
    study_instance_uid="1.2.3",
    series_instance_uid="1.2.3.4",
)
MakeDataset = Callable[..., Dataset]
Encode = Callable[..., bytes]

UIDS = {0x0016: FACTS.sop_class_uid, 0x0018: FACTS.sop_instance_uid}


def deflate(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(data) + compressor.flush()


def element(group: int, number: int, vr: bytes, value: bytes, length: int | None = None) -> bytes:
    size = len(value) if length is None else length
    if vr in (b"SQ", b"UN", b"OB"):
        return struct.pack("<HH2sHI", group, number, vr, 0, size) + value
    return struct.pack("<HH2sH", group, number, vr, size) + value


def item(value: bytes) -> bytes:
    return struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF) + value + struct.pack("<HHI", 0xFFFE, 0xE00D, 0)


def sequence(*items: bytes, vr: bytes = b"SQ") -> bytes:
    return element(0x0008, 0x1140, vr, b"".join(items), 0xFFFFFFFF) + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)


def uid(group: int, number: int, value: str) -> bytes:
    return element(group, number, b"UI", value.encode() + b"\0" * (len(value) % 2))


def whole(before: bytes = b"", **changed: str | None) -> bytes:
    """A data set in explicit VR with the four UIDs; `before` stands in front of the study's."""
    values = {
        "sop_class_uid": (0x0008, 0x0016),
        "sop_instance_uid": (0x0008, 0x0018),
        "study_instance_uid": (0x0020, 0x000D),
        "series_instance_uid": (0x0020, 0x000E),
    }
    parts = []
    for name, tag in values.items():
        value = changed.get(name, getattr(FACTS, name))
        if name == "study_instance_uid":
            parts.append(before)
        if value is not None:
            parts.append(uid(*tag, value))
    return b"".join(parts)


def refused(data: bytes, syntax: str = EXPLICIT) -> Reason:
    with pytest.raises(Rejected) as caught:
        read_header(memoryview(data), syntax)
    assert "SYNTHETIC" not in str(caught.value)
    return caught.value.reason


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, DEFLATED, BIG, JPEG])
def test_the_uids_are_read_in_every_encoding(syntax: str, dataset: MakeDataset, encoded: Encode) -> None:
    data = encoded(dataset(), implicit=syntax == IMPLICIT, little=syntax != BIG)
    data = deflate(data) if syntax == DEFLATED else data
    assert read_header(memoryview(data), syntax) == FACTS


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, BIG])
def test_sequences_of_undefined_length_are_stepped_over(syntax: str, dataset: MakeDataset, encoded: Encode) -> None:
    made = dataset()
    made["SourceImageSequence"].is_undefined_length = True
    for one in made.SourceImageSequence:
        one.is_undefined_length_sequence_item = True
        one["PurposeOfReferenceCodeSequence"].is_undefined_length = True
    data = encoded(made, implicit=syntax == IMPLICIT, little=syntax != BIG)
    assert b"\xff\xff\xff\xff" in data
    assert read_header(memoryview(data), syntax) == FACTS


def test_unknown_vr_of_undefined_length_holds_implicit_elements() -> None:
    inner = struct.pack("<HHI", 0x0008, 0x0100, 2) + b"1 "
    assert read_header(memoryview(whole(sequence(item(inner), vr=b"UN"))), EXPLICIT) == FACTS


def test_fragments_in_front_of_the_uids_are_stepped_over() -> None:
    fragment = struct.pack("<HHI", 0xFFFE, 0xE000, 4) + b"abcd"
    assert read_header(memoryview(whole(sequence(fragment, fragment, vr=b"OB"))), EXPLICIT) == FACTS


def test_uids_padded_with_a_space_are_taken() -> None:
    data = whole().replace(b"1.2.3.4.5\0", b"1.2.3.4.5 ")
    assert read_header(memoryview(data), EXPLICIT) == FACTS


def test_what_follows_the_series_is_not_looked_at() -> None:
    assert read_header(memoryview(whole() + b"garbage"), EXPLICIT) == FACTS


@pytest.mark.parametrize("name", ["sop_class_uid", "sop_instance_uid", "study_instance_uid", "series_instance_uid"])
@pytest.mark.parametrize("value", [None, "", "1.02.3", "1..2", "../../etc/passwd", "1" * 65, "1.2.3\\1.2.4", "abc"])
def test_a_missing_or_illegal_uid_is_refused(name: str, value: str | None) -> None:
    assert refused(whole(b"", **{name: value})) is UID_MISSING


@pytest.mark.parametrize(
    ("data", "syntax"),
    [
        (b"", EXPLICIT),
        (b"GET / HTTP/1.1\r\nHost: here\r\n\r\n", EXPLICIT),
        (b"GET / HTTP/1.1\r\nHost: here\r\n\r\n", IMPLICIT),
        (b"\xff\xd8\xff\xe0" + bytes(100), EXPLICIT),
        (bytes(200), IMPLICIT),
        (bytes(128) + b"DICM" + bytes(100), EXPLICIT),
        (b"not deflated at all", DEFLATED),
        (b"\x08\x00", IMPLICIT),
    ],
)
def test_what_is_no_data_set_is_refused(data: bytes, syntax: str) -> None:
    assert refused(data, syntax) is NOT_DICOM


def test_file_meta_information_inside_a_data_set_is_refused() -> None:
    assert refused(uid(0x0002, 0x0010, EXPLICIT) + whole()) is NOT_DICOM


def test_the_wrong_byte_order_or_vr_is_refused(dataset: MakeDataset, encoded: Encode) -> None:
    assert refused(encoded(dataset(), implicit=True), EXPLICIT) is NOT_DICOM
    assert refused(encoded(dataset(), little=False), EXPLICIT) is NOT_DICOM


@given(st.binary(max_size=400), st.sampled_from([IMPLICIT, EXPLICIT, DEFLATED, BIG, JPEG]))
def test_no_bytes_whatever_raise_anything_but_a_refusal(data: bytes, syntax: str) -> None:
    assert refused(data, syntax) in (NOT_DICOM, UID_MISSING, HEADER_TOO_LARGE)


@settings(max_examples=300)
@given(st.data())
def test_no_damage_to_a_header_raises_anything_but_a_refusal(
    dataset: MakeDataset, encoded: Encode, data: st.DataObject
) -> None:
    implicit = data.draw(st.booleans())
    content = bytearray(encoded(dataset(), implicit=implicit))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        read_header(memoryview(content), IMPLICIT if implicit else EXPLICIT)
    except Rejected as error:
        assert error.reason in (NOT_DICOM, UID_MISSING, HEADER_TOO_LARGE)


@given(st.integers(0, 400))
def test_a_header_cut_short_is_refused(length: int) -> None:
    data = whole(sequence(item(element(0x0008, 0x0100, b"SH", b"1 "))))
    if length < len(data):
        assert refused(data[:length]) in (NOT_DICOM, UID_MISSING)


def test_deep_nesting_is_refused_and_reasonable_nesting_is_not() -> None:
    def nested(depth: int) -> bytes:
        data = b""
        for _ in range(depth):
            data = sequence(item(data))
        return data

    assert read_header(memoryview(whole(nested(NESTING_LIMIT))), EXPLICIT) == FACTS
    assert refused(whole(nested(NESTING_LIMIT + 1))) is HEADER_TOO_LARGE
    opened = element(0x0008, 0x1140, b"SQ", b"", 0xFFFFFFFF) + struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    assert refused(whole(opened * 20_000)) is HEADER_TOO_LARGE


def test_too_many_elements_are_refused() -> None:
    many = element(0x0009, 0x1001, b"SH", b"") * ELEMENTS_LIMIT
    assert refused(whole(many)) is HEADER_TOO_LARGE
    assert refused(whole(sequence(*[item(b"")] * ELEMENTS_LIMIT))) is HEADER_TOO_LARGE


def test_a_huge_value_in_front_of_the_uids_is_refused() -> None:
    assert refused(whole(element(0x0009, 0x1001, b"OB", bytes(BYTES_LIMIT)))) is HEADER_TOO_LARGE
    assert refused(whole(element(0x0009, 0x1001, b"OB", b"", length=0xFFFFFFFE))) is HEADER_TOO_LARGE


def test_a_deflated_bomb_is_inflated_only_up_to_the_limit() -> None:
    bomb = deflate(whole(element(0x0009, 0x1001, b"OB", bytes(100 * 2**20))))
    tracemalloc.start()
    assert refused(bomb, DEFLATED) is HEADER_TOO_LARGE
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * BYTES_LIMIT

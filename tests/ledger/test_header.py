"""Headers are read under limits, whatever is in the bytes; what cannot be read is rejected without quoting a value."""

import hashlib
import os
import struct
import time
import traceback
from collections.abc import Callable
from datetime import date

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
)

from derm_pacs.domain.errors import Rejected
from derm_pacs.domain.marks import MANUFACTURER, PURPOSE
from derm_pacs.domain.reasons import UNREADABLE
from derm_pacs.ledger import header
from derm_pacs.ledger.header import data_set_sha256, read_header

# Values that pydicom warns of when they are written are the point here.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
Part10 = Callable[..., bytes]
PIXELS = bytes(range(12))


def code(value: str, scheme: str = "SCT", meaning: str = "x") -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def item(**elements: object) -> Dataset:
    made = Dataset()
    for keyword, value in elements.items():
        setattr(made, keyword, value)
    return made


def encapsulated(*fragments: bytes, offsets: bytes = b"") -> bytes:
    parts = [b"\xfe\xff\x00\xe0" + struct.pack("<I", len(part)) + part for part in (offsets, *fragments)]
    return b"".join(parts) + b"\xfe\xff\xdd\xe0\0\0\0\0"


def refused(part10: bytes) -> str:
    with pytest.raises(Rejected) as rejected:
        read_header(part10)
    assert rejected.value.reason is UNREADABLE
    return rejected.value.detail


@pytest.mark.parametrize(
    "syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]
)
def test_the_facts_are_read_in_every_encoding(part10: Part10, syntax: str) -> None:
    facts = read_header(part10(
        transfer_syntax=syntax,
        IssuerOfPatientID="CLINIC", TimezoneOffsetFromUTC="+0100", NumberOfFrames=3, ImageLaterality="L",
        TrackingID="lesion 7", TrackingUID="1.2.3.9", AnatomicRegionSequence=Sequence([code("39937001")]),
    ))
    assert (facts.patient_id, facts.issuer, facts.name) == ("P1", "CLINIC", "Muster^Erika")
    assert (facts.birth_date, facts.sex) == (date(1970, 1, 2), "F")
    assert (facts.sop_class_uid, facts.sop_instance_uid) == ("1.2.840.10008.5.1.4.1.1.77.1.7", "1.2.3.1")
    assert (facts.study_instance_uid, facts.series_instance_uid) == ("1.2.3", "1.2.3.0")
    assert facts.transfer_syntax_uid == syntax
    assert (facts.modality, facts.number_of_frames, facts.rows, facts.columns) == ("DMS", 3, 2, 2)
    assert (facts.laterality, facts.site_code, facts.timezone_offset) == ("L", "SCT:39937001", "+0100")
    assert (facts.tracking_id, facts.tracking_uid, facts.ours) == ("lesion 7", "1.2.3.9", False)
    assert facts.pixel_sha256 == hashlib.sha256(PIXELS).hexdigest()


def test_what_is_absent_is_empty(part10: Part10) -> None:
    facts = read_header(part10(
        PatientID=None, PatientName=None, PatientBirthDate=None, PatientSex=None, Rows=None, Columns="", PixelData=None,
        Modality=None, NumberOfFrames=None,
    ))
    assert (facts.patient_id, facts.name, facts.birth_date, facts.sex, facts.modality) == ("", "", None, "", "")
    assert (facts.rows, facts.columns, facts.number_of_frames, facts.pixel_sha256) == (None, None, 1, None)
    assert (facts.laterality, facts.site_code, facts.tracking_uid, facts.timezone_offset) == ("", "", "", "")


@pytest.mark.parametrize(
    ("characters", "name", "expected"),
    [
        ("ISO_IR 100", "Müller^Jörg", "Müller^Jörg"),
        ("ISO_IR 192", "Ǆ^Ψ", "Ǆ^Ψ"),
        ("ISO_IR 144", "\u041b\u044e\u043a", "\u041b\u044e\u043a"),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎", "Yamada^Tarou=山田^太郎"),
    ],
)
def test_names_are_decoded_by_their_character_set(part10: Part10, characters: object, name: str, expected: str) -> None:
    assert read_header(part10(SpecificCharacterSet=characters, PatientName=name)).name == expected


def test_padding_and_nul_do_not_make_another_patient(part10: Part10) -> None:
    assert read_header(part10(PatientID="P1  ")).patient_id == "P1"
    raw = part10(PatientID="P1XX").replace(b"P1XX", b"P1\0\0")
    assert read_header(raw).patient_id == "P1"


def test_two_values_of_the_patient_id_stay_together(part10: Part10) -> None:
    assert read_header(part10(PatientID="A\\B")).patient_id == "A\\B"


@pytest.mark.parametrize(
    ("written", "expected"),
    [("1970.01.02", date(1970, 1, 2)), ("19701332", None), ("1970", None), ("", None)],
)
def test_a_birth_date_that_is_none_is_left_out(part10: Part10, written: str, expected: date | None) -> None:
    raw = part10(PatientBirthDate="99999999").replace(b"99999999", written.ljust(8).encode()[:8])
    if len(written) <= 8:
        assert read_header(raw).birth_date == expected
    else:
        assert read_header(part10(PatientBirthDate=written)).birth_date == expected


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        ({"ImageLaterality": "R", "Laterality": "L"}, "R"),
        ({"Laterality": "B"}, "B"),
        ({"Laterality": "left"}, ""),
        ({"AnatomicRegionSequence": Sequence([item(AnatomicRegionModifierSequence=Sequence([code("24028007")]))])}, "R"),
        ({"AnatomicRegionSequence": Sequence([item(AnatomicRegionModifierSequence=Sequence([code("1")]))])}, ""),
    ],
)
def test_the_side_comes_from_laterality_or_the_regions_modifier(
    part10: Part10, elements: dict[str, object], expected: str
) -> None:
    assert read_header(part10(**elements)).laterality == expected


def test_a_multi_frame_image_names_its_site_in_the_shared_functional_groups(part10: Part10) -> None:
    anatomy = item(FrameLaterality="L", AnatomicRegionSequence=Sequence([code("T-01000", "SRT")]))
    facts = read_header(part10(
        SharedFunctionalGroupsSequence=Sequence([item(FrameAnatomySequence=Sequence([anatomy]))])
    ))
    assert (facts.site_code, facts.laterality) == ("SRT:T-01000", "L")


def test_an_illegal_tracking_uid_or_offset_is_left_out(part10: Part10) -> None:
    facts = read_header(part10(TrackingID="x", TrackingUID="1.02", TimezoneOffsetFromUTC="CET"))
    assert (facts.tracking_uid, facts.timezone_offset) == ("", "")


@pytest.mark.parametrize(
    ("equipment", "ours"),
    [
        ([item(Manufacturer=MANUFACTURER, PurposeOfReferenceCodeSequence=Sequence([code(*PURPOSE)]))], True),
        (
            [item(Manufacturer="scanner"), item(
                Manufacturer=MANUFACTURER, PurposeOfReferenceCodeSequence=Sequence([code(*PURPOSE)]))],
            True,
        ),
        ([item(Manufacturer="other", PurposeOfReferenceCodeSequence=Sequence([code(*PURPOSE)]))], False),
        ([item(Manufacturer=MANUFACTURER)], False),
        ([item(Manufacturer=MANUFACTURER, PurposeOfReferenceCodeSequence=Sequence([code("109101", "DCM")]))], False),
    ],
)
def test_what_is_ours_is_known_by_its_contributing_equipment(
    part10: Part10, equipment: list[Dataset], *, ours: bool
) -> None:
    assert read_header(part10(ContributingEquipmentSequence=Sequence(equipment))).ours is ours


def test_corrected_demographics_change_the_files_hash_and_not_the_pixels(part10: Part10) -> None:
    before, after = read_header(part10()), read_header(part10(PatientName="Muster^Erica"))
    assert before.sha256 != after.sha256
    assert before.pixel_sha256 == after.pixel_sha256


def test_the_files_hash_is_that_of_the_data_set_alone(part10: Part10) -> None:
    one = part10()
    other = one.replace(b"PYDICOM", b"OTHERIM")
    assert one != other
    assert read_header(one).sha256 == read_header(other).sha256 == data_set_sha256(one)


def test_encapsulated_pixels_are_hashed_without_their_offset_table(part10: Part10) -> None:
    plain = part10(transfer_syntax=JPEGBaseline8Bit, PixelData=encapsulated(b"ab", b"cd"))
    indexed = part10(
        transfer_syntax=JPEGBaseline8Bit, PixelData=encapsulated(b"ab", b"cd", offsets=struct.pack("<II", 0, 10))
    )
    assert read_header(plain).pixel_sha256 == hashlib.sha256(b"abcd").hexdigest()
    assert read_header(indexed).pixel_sha256 == read_header(plain).pixel_sha256


@pytest.mark.parametrize("pixels", [None, encapsulated(), encapsulated(b"", b"")])
def test_empty_pixel_data_has_no_hash(part10: Part10, pixels: bytes | None) -> None:
    assert read_header(part10(transfer_syntax=JPEGBaseline8Bit, PixelData=pixels)).pixel_sha256 is None
    assert read_header(part10(PixelData=b"")).pixel_sha256 is None


def test_truncated_pixel_data_does_not_make_the_header_unreadable(part10: Part10) -> None:
    whole = part10()
    assert read_header(whole[:-4]).pixel_sha256 == hashlib.sha256(PIXELS[:-4]).hexdigest()


@pytest.mark.parametrize(
    ("elements", "tag"),
    [
        ({"SOPInstanceUID": None}, "(0008,0018)"),
        ({"StudyInstanceUID": "1.02"}, "(0020,000D)"),
        ({"SeriesInstanceUID": "1.2\\1.3"}, "(0020,000E)"),
        ({"SOPClassUID": "1.02"}, "(0008,0016)"),
        ({"Rows": [2, 2]}, "(0028,0010)"),
        ({"Rows": 0}, "(0028,0010)"),
        ({"NumberOfFrames": "0"}, "(0028,0008)"),
        ({"PatientID": "P" * 257}, "(0010,0020)"),
    ],
)
def test_a_header_without_its_keys_is_rejected_by_the_tag(part10: Part10, elements: dict[str, object], tag: str) -> None:
    assert tag in refused(part10(**elements))


@pytest.mark.parametrize(("keyword", "value"), [("NumberOfFrames", "123 "), ("PatientBirthDate", "19700102")])
def test_no_value_is_quoted_in_errors_warnings_or_logs(
    part10: Part10, keyword: str, value: str, caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder
) -> None:
    raw = part10(**{keyword: value.strip()}).replace(value.encode(), b"MUSTER^ERIKA"[: len(value)])
    try:
        read_header(raw)
    except Rejected as rejected:
        assert "MUST" not in "".join(traceback.format_exception(rejected))
    assert "MUST" not in caplog.text
    assert not [one for one in recwarn if "MUST" in str(one.message)]


def test_an_exception_of_pydicom_is_rejected_by_its_kind_and_without_its_words(
    part10: Part10, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise RecursionError("Muster^Erika")

    monkeypatch.setattr(header, "read_dataset", fails)
    with pytest.raises(Rejected, match="failed with RecursionError") as rejected:
        read_header(part10())
    assert "Muster" not in "".join(traceback.format_exception(rejected.value))


def test_a_lack_of_memory_is_not_the_objects_fault(part10: Part10, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(header, "read_dataset", fails)
    with pytest.raises(MemoryError):
        read_header(part10())


def test_what_is_no_part_10_file_is_rejected() -> None:
    assert "DICM" in refused(b"")
    assert "DICM" in refused(b"x" * 1000)
    assert "(0002,0010)" in refused(bytes(128) + b"DICM")
    assert "breaks off" in refused(bytes(128) + b"DICM" + b"\x02\0\x10\0UI\x40\0" + b"1.2")


def test_the_hash_of_a_broken_file_is_that_of_all_its_bytes() -> None:
    for broken in (b"", b"x" * 1000, bytes(128) + b"DICM\x02\0\x10\0OB\0\0"):
        assert data_set_sha256(broken) == hashlib.sha256(broken).hexdigest()


def test_a_deflated_data_set_is_inflated_up_to_a_limit(part10: Part10, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = part10(transfer_syntax=DeflatedExplicitVRLittleEndian, PixelData=bytes(100_000))
    assert read_header(bomb).pixel_sha256 == hashlib.sha256(bytes(100_000)).hexdigest()
    monkeypatch.setattr(header, "MAX_INFLATED_BYTES", 50_000)
    assert "more than 50000 bytes" in refused(bomb)


def test_a_deflated_data_set_that_is_corrupt_or_breaks_off_is_rejected(part10: Part10) -> None:
    whole = part10(transfer_syntax=DeflatedExplicitVRLittleEndian)
    assert "breaks off" in refused(whole[:-20])
    assert refused(whole[:400] + b"\xff" * 40 + whole[440:])


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_bytes_give_facts_or_a_rejection_and_nothing_else(part10: Part10, data: st.DataObject) -> None:
    syntax = data.draw(st.sampled_from([ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian]))
    raw = bytearray(part10(
        transfer_syntax=syntax, AnatomicRegionSequence=Sequence([code("39937001")]),
        ContributingEquipmentSequence=Sequence([item(Manufacturer="x")]),
    ))
    for _ in range(data.draw(st.integers(1, 6))):
        raw[data.draw(st.integers(132, len(raw) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(raw)))
    try:
        facts = read_header(bytes(raw[:cut] if data.draw(st.booleans()) else raw))
    except Rejected as rejected:
        assert rejected.reason is UNREADABLE
    else:
        assert facts.sop_instance_uid
        assert "\0" not in facts.patient_id + facts.name + facts.site_code + facts.modality


def test_a_large_object_costs_little_more_than_its_hashing(part10: Part10) -> None:
    large = part10(Rows=4000, Columns=6000, PixelData=os.urandom(72_000_000))
    began = time.process_time()
    hashlib.sha256(large).hexdigest()
    one_hash = time.process_time() - began
    began = time.process_time()
    read_header(large)
    assert time.process_time() - began < 3 * one_hash + 0.3

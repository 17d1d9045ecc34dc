"""Part 10 bytes become 8-bit frames, or a refusal that says why; nothing raises, nothing takes memory for a lie."""

import csv
import resource
import subprocess
import sys
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydicom.data import get_testdata_file
from pydicom.pixels.processing import apply_color_lut
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from derm_networks.stored_pixels import DECODERS
from derm_pacs.domain.findings import Refusal
from derm_pacs.domain.reasons import REASONS
from derm_pacs.inference.answers import REFUSALS
from derm_pacs.inference.pixels import Frame, Undecoded, frames

LIMITS = {"max_pixels": 30_000_000, "max_frames": 16}
REPOSITORY = Path(__file__).resolve().parents[2]
ODD_FILES = REPOSITORY.parent / "shared" / "data" / "dicom"
Part10 = Callable[..., bytes]


def decode(part10: bytes) -> list[NDArray[np.uint8]]:
    found = list(frames(part10, **LIMITS))
    refused = [one.refusal for one in found if isinstance(one, Undecoded)]
    assert not refused, refused
    return [one.pixels for one in found if isinstance(one, Frame)]


def refused(part10: bytes, **limits: int) -> Refusal:
    found = list(frames(part10, **(LIMITS | limits)))
    assert len(found) == 1
    assert isinstance(found[0], Undecoded), found
    return found[0].refusal


def bundled(name: str) -> bytes:
    path = get_testdata_file(name, download=False)
    assert isinstance(path, str), f"pydicom no longer brings {name}"
    return Path(path).read_bytes()


def odd(name: str) -> bytes:
    if not (ODD_FILES / name).is_file():
        pytest.skip(f"../shared/data/dicom/{name} is not there")
    return (ODD_FILES / name).read_bytes()


def changed(part10: bytes, **attributes: Any) -> bytes:
    dataset = pydicom.dcmread(BytesIO(part10))
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    stream = BytesIO()
    pydicom.dcmwrite(stream, dataset)
    return stream.getvalue()


def compressed(part10: bytes, syntax: UID) -> bytes:
    dataset = pydicom.dcmread(BytesIO(part10))
    if syntax == DeflatedExplicitVRLittleEndian:
        dataset.file_meta.TransferSyntaxUID = syntax
    else:
        dataset.compress(syntax, generate_instance_uid=False)
    stream = BytesIO()
    pydicom.dcmwrite(stream, dataset, enforce_file_format=True)
    return stream.getvalue()


@pytest.mark.parametrize("syntax", [DeflatedExplicitVRLittleEndian, RLELossless, JPEGLSLossless, JPEG2000Lossless])
@pytest.mark.parametrize("shape", [(40, 61, 3), (40, 61), (3, 40, 61, 3)])
def test_lossless_syntaxes_give_the_pixels_that_went_in(
    make_part10: Part10, syntax: UID, shape: tuple[int, ...]
) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    plain = make_part10(pixels)
    expected = pixels if len(shape) == 4 else pixels[np.newaxis]
    assert np.array_equal(decode(plain), expected)
    assert np.array_equal(decode(compressed(plain, syntax)), expected)


# Files of pydicom's wheel: one picture of colour bars in every coding.
COLOUR_BARS = [
    "SC_rgb_rle.dcm", "SC_rgb_rle_2frame.dcm", "SC_rgb_rle_16bit.dcm", "SC_rgb_dcmtk_+eb+cr.dcm",
    "SC_rgb_dcmtk_+eb+cy+n1.dcm", "SC_rgb_dcmtk_+eb+cy+n2.dcm", "SC_rgb_dcmtk_+eb+cy+np.dcm",
    "SC_rgb_dcmtk_+eb+cy+s2.dcm", "SC_rgb_dcmtk_+eb+cy+s4.dcm", "SC_rgb_jpeg_dcmtk.dcm", "SC_rgb_jpeg_gdcm.dcm",
    "SC_rgb_jpeg_lossy_gdcm.dcm", "SC_rgb_gdcm_KY.dcm", "SC_ybr_full_422_uncompressed.dcm",
]  # fmt: skip
BARS = [(255, 0, 0), (255, 128, 128), (0, 255, 0), (128, 255, 128), (0, 0, 255), (128, 128, 255), (0, 0, 0)]


@pytest.mark.parametrize("name", COLOUR_BARS)
def test_every_coding_of_one_picture_gives_its_colours(name: str) -> None:
    """RGB, YBR_FULL and YBR_FULL_422; native, RLE, JPEG, JPEG lossless and JPEG 2000; 8 and 16 bits."""
    picture = decode(bundled(name))[0].astype(int)
    assert picture.shape == (100, 100, 3)
    for bar, colour in enumerate(BARS):
        assert np.abs(picture[10 * bar + 5, 50] - colour).max() <= 6


@pytest.mark.parametrize("name", ["pydicom-data/SC_ybr_full_uncompressed.dcm", "pydicom-data/SC_rgb_expb.dcm"])
def test_codings_that_pydicom_does_not_bring_give_the_colours_too(name: str) -> None:
    picture = decode(odd(name))[0].astype(int)
    for bar, colour in enumerate(BARS):
        assert np.abs(picture[10 * bar + 5, 50] - colour).max() <= 6


@pytest.mark.parametrize("name", ["examples_palette.dcm"])
def test_a_palette_image_gets_its_colours(name: str) -> None:
    (picture,) = decode(bundled(name))
    expected = apply_color_lut(
        pydicom.dcmread(BytesIO(bundled(name))).pixel_array, pydicom.dcmread(BytesIO(bundled(name)))
    )
    assert picture.shape == (*expected.shape[:2], 3)
    assert np.array_equal(picture, expected if expected.dtype == np.uint8 else expected >> 8)


def test_monochrome1_is_inverted(make_part10: Part10) -> None:
    pixels = np.arange(64, dtype=np.uint8).reshape(8, 8)
    assert np.array_equal(decode(make_part10(pixels, PhotometricInterpretation="MONOCHROME1"))[0], 255 - pixels)


def deep(values: NDArray[Any], stored: int, **attributes: Any) -> bytes:
    """A 16-bit grey image, made from a file of pydicom's wheel."""
    return changed(
        bundled("CT_small.dcm"), Rows=values.shape[0], Columns=values.shape[1], BitsStored=stored, HighBit=stored - 1,
        PixelRepresentation=int(values.dtype == np.int16), PixelData=values.tobytes(), **attributes,
    )  # fmt: skip


def test_twelve_bits_without_a_window_are_scaled_from_what_the_bits_allow() -> None:
    values = np.array([[0, 4095], [2048, 1]], dtype=np.uint16)
    blank = {"WindowCenter": None, "WindowWidth": None}
    assert np.array_equal(decode(deep(values, 12, **blank))[0], [[0, 255], [128, 0]])


def test_signed_values_are_scaled_from_what_the_bits_allow() -> None:
    values = np.array([[-32768, 32767], [0, -1]], dtype=np.int16)
    blank = {"WindowCenter": None, "WindowWidth": None}
    assert np.array_equal(decode(deep(values, 16, **blank))[0], [[0, 255], [128, 127]])


def test_deep_grey_with_a_window_is_scaled_by_its_first_window() -> None:
    values = np.array([[0, 1000], [2000, 1500]], dtype=np.uint16)
    window = {"WindowCenter": [1000.5, 5], "WindowWidth": [1001, 7], "RescaleSlope": 1, "RescaleIntercept": 0}
    assert np.array_equal(decode(deep(values, 16, **window))[0], [[0, 128], [255, 255]])


@given(st.lists(st.integers(0, 4095), min_size=4, max_size=4), st.integers(2, 3000), st.integers(0, 4000))
@settings(max_examples=40, deadline=None)
def test_scaling_keeps_the_order_of_brightness(values: list[int], width: int, centre: int) -> None:
    stored = np.array(sorted(values), dtype=np.uint16).reshape(1, 4)
    picture = decode(deep(stored, 12, WindowCenter=centre, WindowWidth=width, RescaleIntercept=0, RescaleSlope=1))[0]
    assert np.all(np.diff(picture[0].astype(int)) >= 0)


def test_frames_are_numbered_from_one(make_part10: Part10) -> None:
    found = list(frames(make_part10(np.zeros((3, 8, 8, 3), dtype=np.uint8)), **LIMITS))
    assert [one.number for one in found] == [1, 2, 3]


def test_a_broken_frame_does_not_take_the_others_along(make_part10: Part10) -> None:
    pixels = np.random.default_rng(2).integers(0, 256, (3, 40, 40, 3), dtype=np.uint8)
    dataset = pydicom.dcmread(BytesIO(compressed(make_part10(pixels), JPEG2000Lossless)))
    whole = list(pydicom.encaps.generate_frames(dataset.PixelData, number_of_frames=3))
    dataset.PixelData = pydicom.encaps.encapsulate([whole[0], b"\xff\x4f" + bytes(100), whole[2]])
    stream = BytesIO()
    pydicom.dcmwrite(stream, dataset, enforce_file_format=True)
    first, second, third = frames(stream.getvalue(), **LIMITS)
    assert isinstance(first, Frame)
    assert isinstance(second, Undecoded)
    assert second.refusal.reason == "undecodable"
    assert isinstance(third, Frame)
    assert np.array_equal(third.pixels, pixels[2])


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"BurnedInAnnotation": "YES"}, "burned_in"),
        ({"PixelData": b""}, "empty_pixels"),
        ({"Rows": 65535, "Columns": 65535}, "image_too_large"),
        ({"NumberOfFrames": 17}, "too_many_frames"),
        ({"Rows": 0}, "undecodable"),
        ({"Rows": 41}, "undecodable"),
        ({"NumberOfFrames": 2}, "undecodable"),
        ({"PhotometricInterpretation": "CMYK"}, "wrong_colour"),
        ({"PhotometricInterpretation": None}, "undecodable"),
    ],
)
def test_a_header_that_makes_no_sense_is_refused(make_part10: Part10, attributes: dict[str, Any], reason: str) -> None:
    part10 = make_part10(np.zeros((8, 8, 3), dtype=np.uint8), **attributes)
    found = next(iter(frames(part10, **LIMITS)))
    if attributes == {"NumberOfFrames": 2}:
        found = list(frames(part10, **LIMITS))[1]
    assert isinstance(found, Undecoded)
    assert found.refusal.reason == reason
    assert REASONS[reason]


def test_no_is_no_burned_in_text(make_part10: Part10) -> None:
    assert len(decode(make_part10(np.zeros((8, 8, 3), dtype=np.uint8), BurnedInAnnotation="NO"))) == 1


@pytest.mark.parametrize("content", [b"", b"not dicom", bytes(128) + b"DICM", bytes(128) + b"DICM" + bytes(100)])
def test_what_is_no_dicom_is_refused(content: bytes) -> None:
    assert refused(content).reason in {"undecodable", "empty_pixels"}


def test_a_file_cut_off_anywhere_is_refused_or_decoded_but_never_raises(make_part10: Part10) -> None:
    whole = make_part10(np.random.default_rng(3).integers(0, 256, (20, 20, 3), dtype=np.uint8))
    for length in range(0, len(whole), 37):
        assert isinstance(next(iter(frames(whole[:length], **LIMITS))), Undecoded)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_flipped_bytes_never_raise(data: st.DataObject) -> None:
    whole = bytearray(bundled("SC_rgb_small_odd.dcm"))
    for _ in range(data.draw(st.integers(1, 8))):
        whole[data.draw(st.integers(132, len(whole) - 1))] = data.draw(st.integers(0, 255))
    for one in frames(bytes(whole), **LIMITS):
        if isinstance(one, Undecoded):
            assert one.refusal.reason in REFUSALS
            assert one.refusal.detail.isprintable()


def test_a_refusal_quotes_no_value_of_the_header(make_part10: Part10) -> None:
    part10 = make_part10(np.zeros((8, 8, 3), dtype=np.uint8), PatientName="Secret^Name")
    for length in range(140, len(part10), 11):
        assert "Secret" not in refused(part10[:length]).detail


MEMORY_PROOF = """
import resource, sys, time
from derm_pacs.inference.pixels import frames
content = open(sys.argv[1], "rb").read()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print([one.refusal.reason for one in frames(content, max_pixels=300_000_000, max_frames=16)])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_a_small_file_that_claims_4_gigapixels_is_refused_without_taking_memory(
    make_part10: Part10, tmp_path: Path
) -> None:
    file = tmp_path / "claims.dcm"
    file.write_bytes(make_part10(np.zeros((4, 4), dtype=np.uint8), Rows=65535, Columns=65535))
    assert file.stat().st_size < 910
    limit = 4 * 1024**3
    ran = subprocess.run(
        [sys.executable, "-c", MEMORY_PROOF, file], capture_output=True, text=True, timeout=60, check=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
    )  # fmt: skip
    reasons, kilobytes = ran.stdout.splitlines()
    assert reasons == "['image_too_large']"
    assert int(kilobytes) < 20_000


def test_a_deflated_bomb_is_refused_without_inflating_it(make_part10: Part10, tmp_path: Path) -> None:
    part10 = make_part10(np.zeros((10_000, 10_000), dtype=np.uint8))
    bomb = compressed(part10, DeflatedExplicitVRLittleEndian)
    assert len(bomb) < 200_000
    assert refused(bomb, max_pixels=1_000_000).reason == "image_too_large"


def manifest_rows() -> list[dict[str, str]]:
    if not (ODD_FILES / "MANIFEST.csv").is_file():
        return []
    with (ODD_FILES / "MANIFEST.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_odd_file_is_decoded_or_refused() -> None:
    """247 files of other projects: those that pydicom decodes in a syntax of ours are decoded, no other one raises."""
    rows = manifest_rows()
    if not rows:
        pytest.skip("../shared/data/dicom is not there")
    wrong: list[tuple[str, object]] = []
    for row in rows:
        found = list(frames((ODD_FILES / row["path"]).read_bytes(), max_pixels=20_000_000, max_frames=200))
        decoded = any(isinstance(one, Frame) for one in found)
        reasons = {one.refusal.reason for one in found if isinstance(one, Undecoded)}
        if not reasons <= REFUSALS:
            wrong.append((row["path"], reasons))
        expected = (
            row["decodes_with_pydicom"] == "yes" and row["transfer_syntax"] in DECODERS and row["dcmread"] == "ok"
        )
        if expected and not decoded and row["path"] not in NOT_READ:
            wrong.append((row["path"], [one.refusal for one in found[:1] if isinstance(one, Undecoded)]))
    assert not wrong


NOT_READ = {
    "ez-wsi/test_wsi.dcm": "says that text is burned in",
    "fo-dicom/GH364.dcm": "says that text is burned in",
    "highdicom/seg_image_sm_dots.dcm": "several segments at one place of a tiled matrix",
    "highdicom/seg_image_sm_dots_tiled_full.dcm": "1250 tiles for 50 segments of one tiled matrix",
    "malformed/cat04_pixel_data/TC0337_mf_nf_zero.dcm": "Number of Frames is 0",
    "nema-wg04/MR1_JLSL": "pyjpegls, the one decoder of its syntax, finds no JPEG-LS marker",
    "pydicom-data/parametric_map_float.dcm": "floating-point pixels",
}


def test_each_transfer_syntax_that_is_read_was_shown_to_be_read() -> None:
    rows = manifest_rows()
    if not rows:
        pytest.skip("../shared/data/dicom is not there")
    shown = {row["transfer_syntax"] for row in rows if row["decodes_with_pydicom"] == "yes"}
    assert set(DECODERS) - shown <= {"1.2.840.10008.1.2.4.202"}  # RPCL: no file to be had; the decoder is that of .201


@pytest.mark.parametrize("name", ["orthanc-tests/2026-05-26-oob-monochrome-65535.dcm"])
def test_the_file_of_the_wild_that_claims_65535_squared_is_refused(name: str) -> None:
    assert refused(odd(name)).reason == "image_too_large"

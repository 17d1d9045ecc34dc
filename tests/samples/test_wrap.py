"""Photographs become instances that a dermatoscope could have sent."""

import io
import shutil
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.encaps import get_frame
from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit

from derm_pacs.domain.errors import Rejected
from derm_pacs.samples import jpeg
from derm_pacs.samples.wrap import Code, Kind, Label, Tracked, part10, wrap, wrap_bytes

LABEL = Label(
    patient_id="P-1",
    patient_name="Doe^Jane",
    study_uid="2.25.77",
    study_description="own picture",
    series_description="arm",
    at=datetime(2026, 3, 4, 5, 6, 7, tzinfo=timezone(timedelta(hours=1))),
)
# What dciodvfy of 2022 says of every dermoscopic image or photograph and the present standard does not: the IOD had a
# Frame of Reference then, DMS and CFM were unknown, and Laterality is wanted only of paired body parts.
FALSE_COMPLAINTS = (
    "Unrecognized defined term <DMS>",
    "Unrecognized defined term <CFM>",
    "Element=<Laterality> Module=<GeneralSeries>",
    "Element=<FrameOfReferenceUID> Module=<FrameOfReference>",
    "Element=<PositionReferenceIndicator> Module=<FrameOfReference>",
)


def pixels(*shape: int) -> NDArray[np.uint8]:
    ramp = np.linspace(0, 255, int(np.prod(shape)))
    return ramp.reshape(shape).astype(np.uint8)


def encoded(array: NDArray[np.uint8], kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, kind, **options)
    return buffer.getvalue()


def reread(ds: Dataset) -> Dataset:
    return dcmread(io.BytesIO(part10(ds)))


def complaints(ds: Dataset, folder: Path) -> list[str]:
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy is not installed (make test installs it)")
    file = folder / "wrapped.dcm"
    file.write_bytes(part10(ds))
    told = subprocess.run(["dciodvfy", str(file)], capture_output=True, text=True, check=False).stderr.splitlines()[1:]
    return [line for line in told if line and not any(one in line for one in FALSE_COMPLAINTS)]


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("synthetic", [True, False])
@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_every_kind_is_a_legal_instance(kind: Kind, synthetic: bool, form: str, tmp_path: Path) -> None:
    array = pixels(40, 60) if kind is Kind.CONFOCAL else pixels(40, 60, 3)
    site = Code(value="66643007", scheme="SCT", meaning="Skin of back")
    label = replace(LABEL, synthetic=synthetic, site=site, laterality="L" if synthetic else "")
    assert complaints(wrap_bytes(encoded(array, form), kind, label), tmp_path) == []


def test_the_validator_would_complain_of_a_missing_attribute(tmp_path: Path) -> None:
    ds = wrap_bytes(encoded(pixels(8, 8, 3), "PNG"), Kind.DERMOSCOPIC, LABEL)
    del ds.RecognizableVisualFeatures
    assert any("RecognizableVisualFeatures" in line for line in complaints(ds, tmp_path))


def test_a_baseline_jpeg_goes_in_as_it_is() -> None:
    data = encoded(pixels(33, 47, 3), "JPEG", quality=80)
    ds = reread(wrap_bytes(data, Kind.DERMOSCOPIC, LABEL))
    assert ds.file_meta.TransferSyntaxUID == JPEGBaseline8Bit
    frame = get_frame(ds.PixelData, 0, number_of_frames=1)
    assert frame.rstrip(b"\x00") == jpeg.read(data).data.rstrip(b"\x00")
    assert (ds.Rows, ds.Columns, ds.PhotometricInterpretation) == (33, 47, "YBR_FULL_422")
    assert ds.LossyImageCompression == "01"
    assert ds.LossyImageCompressionMethod == "ISO_10918_1"
    assert float(ds.LossyImageCompressionRatio) == pytest.approx(33 * 47 * 3 / len(data), abs=0.01)


@pytest.mark.parametrize("shape", [(8, 10, 3), (7, 9, 3), (9, 11)])
def test_a_png_keeps_every_pixel(shape: tuple[int, ...]) -> None:
    array = pixels(*shape)
    ds = reread(wrap_bytes(encoded(array, "PNG"), Kind.CLINICAL, LABEL))
    assert ds.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert np.array_equal(ds.pixel_array, array)
    assert "LossyImageCompressionRatio" not in ds


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_a_picture_that_the_camera_turned_stands_upright(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(pixels(16, 32, 3), "JPEG", exif=exif)
    ds = reread(wrap_bytes(data, Kind.CLINICAL, LABEL))
    stored = np.asarray(Image.open(io.BytesIO(data)))
    turned = {3: np.rot90(stored, 2), 6: np.rot90(stored, -1), 8: np.rot90(stored, 1)}[orientation]
    assert np.array_equal(ds.pixel_array, turned)
    assert ds.LossyImageCompression == "01"


def test_a_progressive_jpeg_is_stored_uncompressed_and_says_that_it_was_lossy() -> None:
    data = encoded(pixels(16, 32, 3), "JPEG", progressive=True)
    ds = reread(wrap_bytes(data, Kind.CLINICAL, LABEL))
    assert ds.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert np.array_equal(ds.pixel_array, np.asarray(Image.open(io.BytesIO(data))))
    assert ds.LossyImageCompression == "01"


def test_names_of_any_script_and_the_offset_of_the_time_are_kept() -> None:
    ds = reread(wrap_bytes(encoded(pixels(4, 4, 3), "PNG"), Kind.CLINICAL, replace(LABEL, patient_name="Łuczak^Żaneta")))
    assert str(ds.PatientName) == "Łuczak^Żaneta"
    assert (ds.StudyDate, ds.StudyTime, ds.TimezoneOffsetFromUTC) == ("20260304", "050607", "+0100")


def test_the_same_file_and_label_give_the_same_bytes_and_another_file_another_instance(tmp_path: Path) -> None:
    one, two = tmp_path / "one.png", tmp_path / "two.png"
    one.write_bytes(encoded(pixels(4, 4, 3), "PNG"))
    two.write_bytes(encoded(pixels(4, 5, 3), "PNG"))
    first = wrap(one, Kind.CLINICAL, LABEL)
    assert part10(first) == part10(wrap(one, Kind.CLINICAL, LABEL))
    other = wrap(two, Kind.CLINICAL, LABEL)
    assert other.SOPInstanceUID != first.SOPInstanceUID
    assert other.SeriesInstanceUID == first.SeriesInstanceUID
    later = replace(LABEL, at=datetime(2027, 1, 1, tzinfo=UTC))
    assert wrap(one, Kind.CLINICAL, later).StudyInstanceUID == first.StudyInstanceUID


def test_nothing_that_is_not_known_is_made_up() -> None:
    ds = wrap_bytes(encoded(pixels(4, 4, 3), "PNG"), Kind.DERMOSCOPIC, LABEL)
    assert ds.LightSourcePolarization == ds.ContactMethod == ds.PatientSex == ds.LossyImageCompression == ""
    assert ds.RecognizableVisualFeatures == "YES"
    assert "PixelSpacing" not in ds
    assert "TrackingUID" not in ds
    assert "BurnedInAnnotation" not in ds


def test_a_lesion_that_is_tracked_and_a_pixel_size_that_is_known_at_the_skin_stand_in_the_instance() -> None:
    label = replace(LABEL, lesion=Tracked(uid="2.25.77", name="lesion 7"), pixel_millimetres=0.0125)
    ds = wrap_bytes(encoded(pixels(4, 4, 3), "PNG"), Kind.DERMOSCOPIC, label)
    assert (ds.TrackingUID, ds.TrackingID) == ("2.25.77", "lesion 7")
    assert (list(ds.PixelSpacing), ds.PixelSpacingCalibrationType) == ([0.0125, 0.0125], "GEOMETRY")


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "neither a JPEG nor a PNG"),
        (b"hello", "neither a JPEG nor a PNG"),
        (encoded(pixels(9, 9, 3), "PNG")[:-30], "neither a JPEG nor a PNG"),
        (encoded(pixels(9, 9, 3), "JPEG")[:-30], "torn"),
        (encoded(pixels(9, 9, 3), "GIF"), "neither a JPEG nor a PNG"),
        (encoded(pixels(9, 9, 4), "PNG"), "transparent"),
        (encoded(np.zeros((9, 9), np.uint8), "PNG", transparency=0), "the picture is transparent in parts; save it without"),
        (encoded((np.arange(81).reshape(9, 9) * 700).astype(np.uint16), "PNG"), "neither 8-bit grey nor 8-bit RGB"),
        (bytes(128) + b"DICM" + bytes(50), "DICOM file already"),
    ],
)
def test_what_cannot_be_wrapped_is_refused_with_a_sentence(data: bytes, sentence: str) -> None:
    with pytest.raises(Rejected, match=sentence):
        wrap_bytes(data, Kind.DERMOSCOPIC, LABEL)

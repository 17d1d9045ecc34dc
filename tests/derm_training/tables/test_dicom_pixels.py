"""The pixels of DICOM are those that the service sees: the same file, the same numbers, or a refusal on both sides."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from derm_pacs.inference.pixels import Frame, Undecoded, frames
from derm_training.tables.dicom_pixels import dicom_size, read_dicom_rgb
from tests.derm_training.tables.dicom_files import dicom

DARK = np.linspace(60, 120, 24).reshape(4, 6).astype(np.uint8)
DEEP = np.linspace(1000, 2000, 24).reshape(4, 6).astype(np.uint16)
COLOUR = np.random.default_rng(1).integers(0, 256, (4, 6, 3), dtype=np.uint8)
TWELVE: dict[str, Any] = {"BitsStored": 12, "HighBit": 11}
PALETTE = {
    f"{name}PaletteColorLookupTable{part}": value
    for name, shade in (("Red", 200), ("Green", 100), ("Blue", 50))
    for part, value in (("Descriptor", [2, 0, 16]), ("Data", np.array([0, shade << 8], dtype=np.uint16).tobytes()))
}
READ: dict[str, tuple[NDArray[Any], str, dict[str, Any]]] = {
    "8 bits": (DARK, "MONOCHROME2", {}),
    "8 bits with a window": (DARK, "MONOCHROME2", {"WindowCenter": 128, "WindowWidth": 256}),
    "8 bits with a narrow window": (DARK, "MONOCHROME2", {"WindowCenter": 90, "WindowWidth": 10}),
    "8 bits with a slope of 1": (DARK, "MONOCHROME2", {"RescaleSlope": 1, "RescaleIntercept": 0}),
    "8 bits inverted": (DARK, "MONOCHROME1", {"WindowCenter": 128, "WindowWidth": 256}),
    "12 bits": (DEEP, "MONOCHROME2", TWELVE),
    "12 bits with a wide window": (DEEP, "MONOCHROME2", TWELVE | {"WindowCenter": 2048, "WindowWidth": 4096}),
    "12 bits with a narrow window": (DEEP, "MONOCHROME2", TWELVE | {"WindowCenter": 1500, "WindowWidth": 500}),
    "12 bits with a sigmoid window": (DEEP, "MONOCHROME2", TWELVE | {"WindowCenter": 1500, "WindowWidth": 500, "VOILUTFunction": "SIGMOID"}),
    "12 bits inverted, rescaled": (DEEP, "MONOCHROME1", TWELVE | {"WindowCenter": 0, "WindowWidth": 900, "RescaleSlope": 2, "RescaleIntercept": -3000}),
    "16 bits": (DEEP, "MONOCHROME2", {}),
    "16 bits signed": (DEEP.astype(np.int16) - 1500, "MONOCHROME2", {"PixelRepresentation": 1}),
    "12 bits of colour": ((COLOUR * np.uint16(16)).astype(np.uint16), "RGB", TWELVE),
    "colour": (COLOUR, "RGB", {}),
    "luminance and chrominance": (COLOUR, "YBR_FULL", {}),
    "a palette": (np.eye(4, 6, dtype=np.uint8), "PALETTE COLOR", PALETTE),
}


def served(file: Path) -> Frame | Undecoded:
    (found,) = frames(file.read_bytes(), max_pixels=10_000, max_frames=1)
    return found


@pytest.mark.parametrize("name", READ)
def test_training_sees_the_numbers_that_the_service_sees(tmp_path: Path, name: str) -> None:
    pixels, photometric, more = READ[name]
    dicom(tmp_path / "x", pixels, photometric, **more)
    found = served(tmp_path / "x")
    assert isinstance(found, Frame), found
    expected = found.pixels if found.pixels.ndim == 3 else np.repeat(found.pixels[..., None], 3, axis=2)
    assert np.array_equal(read_dicom_rgb(tmp_path / "x"), expected)
    assert dicom_size(tmp_path / "x") == (6, 4)


REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "burned in": ("RGB", {"BurnedInAnnotation": "YES"}, r"Burned In Annotation \(0028,0301\) is YES"),
    "a foreign colour": ("HSV", {}, "photometric interpretation HSV is not read"),
    "empty": ("RGB", {"PixelData": b""}, r"Pixel Data \(7FE0,0010\) is missing or empty"),
    "cut off": ("RGB", {"PixelData": bytes(6)}, "its pixels cannot be read"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_service_refuses_is_refused_by_file_and_reason(tmp_path: Path, name: str) -> None:
    photometric, more, said = REFUSED[name]
    dicom(tmp_path / "x.dcm", COLOUR, photometric, **more)
    assert isinstance(served(tmp_path / "x.dcm"), Undecoded)
    with pytest.raises(ValueError, match=rf"x\.dcm.*{said}"):
        read_dicom_rgb(tmp_path / "x.dcm")


def test_several_frames_are_no_picture(tmp_path: Path) -> None:
    dicom(tmp_path / "x.dcm", DARK, "MONOCHROME2", NumberOfFrames=2, PixelData=bytes(48))
    with pytest.raises(ValueError, match=r"x\.dcm is among the images that are not read: of several frames; take its line out"):
        read_dicom_rgb(tmp_path / "x.dcm")

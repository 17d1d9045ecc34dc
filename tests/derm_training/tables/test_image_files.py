"""Pictures of files: upright, in 8 bits, and as the service would read them; what cannot be read is named."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from derm_pacs.domain.errors import Rejected
from derm_pacs.inference.pixels import Frame, frames
from derm_pacs.samples.wrap import Kind, Label, part10, wrap
from derm_training.tables.image_files import picture_size, read_rgb

LABEL = Label(patient_id="1", patient_name="A", study_uid="1.2.3", study_description="", series_description="", at=datetime(2026, 1, 2, tzinfo=UTC))


def noise(*shape: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["a.jpg", "a.png"])
def test_a_picture_is_turned_as_its_exif_says_and_as_the_service_gets_it(tmp_path: Path, name: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    noise(40, 60, 3).save(tmp_path / name, exif=exif)
    (served,) = frames(part10(wrap(tmp_path / name, Kind.DERMOSCOPIC, LABEL)), max_pixels=10_000, max_frames=1)
    assert isinstance(served, Frame)
    read = read_rgb(tmp_path / name)
    assert read.shape == served.pixels.shape
    assert np.abs(read.astype(int) - served.pixels).max() <= 1, "chrominance of a JPEG is rounded by each decoder itself"
    assert picture_size(tmp_path / name) == read.shape[1::-1]


REFUSED = {
    "deep.png": (Image.fromarray((np.arange(81).reshape(9, 9) * 700).astype(np.uint16)), r"deep\.png has pixels of the mode I;16, neither 8-bit grey nor 8-bit RGB"),
    "inks.jpg": (noise(9, 9, 3).convert("CMYK"), r"inks\.jpg has pixels of the mode CMYK"),
    "clear.png": (noise(9, 9, 4), r"clear\.png is transparent in parts; save it without transparency"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_loses_something_in_eight_bits_of_rgb_is_refused_as_by_the_service(tmp_path: Path, name: str) -> None:
    picture, said = REFUSED[name]
    picture.save(tmp_path / name)
    with pytest.raises(ValueError, match=said):
        read_rgb(tmp_path / name)
    with pytest.raises(Rejected):
        wrap(tmp_path / name, Kind.DERMOSCOPIC, LABEL)


def test_grey_one_bit_palette_and_an_opaque_fourth_channel_are_read(tmp_path: Path) -> None:
    opaque = noise(9, 9, 3)
    opaque.putalpha(255)
    for number, picture in enumerate((noise(9, 9), noise(9, 9).convert("1"), noise(9, 9, 3).convert("P"), opaque)):
        picture.save(tmp_path / f"{number}.png")
        assert np.array_equal(read_rgb(tmp_path / f"{number}.png"), np.asarray(picture.convert("RGB")))


def test_a_picture_that_is_cut_off_is_refused_by_its_name(tmp_path: Path) -> None:
    noise(64, 64, 3).save(tmp_path / "whole.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "whole.jpg").read_bytes()[:1500])
    with pytest.raises(ValueError, match=r"cut\.jpg cannot be read whole"):
        read_rgb(tmp_path / "cut.jpg")


def test_a_picture_of_more_pixels_than_are_read_is_refused_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    noise(64, 64).save(tmp_path / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    for read in (read_rgb, picture_size):
        with pytest.raises(ValueError, match=r"bomb\.png has more pixels than are read .*: save it smaller, or in several parts"):
            read(tmp_path / "bomb.png")


def test_a_file_that_is_no_image_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_text("no picture at all, though longer than a DICOM preamble" * 5, encoding="utf-8")
    with pytest.raises(ValueError, match=r"a\.jpg is no image that can be read: PNG, JPEG or DICOM"):
        read_rgb(tmp_path / "a.jpg")

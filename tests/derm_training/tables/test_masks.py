"""Masks: what marks a region, what is refused because it would be taken for empty, and which mask fits which picture."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from derm_training.tables.manifest import read_table
from derm_training.tables.masks import check_masks, read_mask
from tests.conftest import shared_data


@pytest.mark.parametrize("inside", [1, 255])
def test_a_mask_marks_the_region_with_white_or_with_one(tmp_path: Path, inside: int) -> None:
    region = np.array([[0, 1, 1], [0, 0, 1]], dtype=np.uint8)
    Image.fromarray(region * inside).save(tmp_path / "m.png")
    assert read_mask(tmp_path / "m.png").tolist() == region.tolist()


def test_a_mask_may_have_one_bit(tmp_path: Path) -> None:
    region = np.array([[0, 1, 1], [0, 0, 1]], dtype=bool)
    Image.fromarray(region).save(tmp_path / "m.png")
    assert read_mask(tmp_path / "m.png").tolist() == region.astype(int).tolist()


@pytest.mark.parametrize("value", [0, 1, 255])
def test_a_mask_of_nothing_and_of_everything_are_masks(tmp_path: Path, value: int) -> None:
    Image.new("L", (3, 2), value).save(tmp_path / "m.png")
    assert read_mask(tmp_path / "m.png").tolist() == [[min(value, 1)] * 3] * 2


def test_darkness_around_a_mask_is_no_region(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 1, 3], [0, 1, 255]], dtype=np.uint8)).save(tmp_path / "m.png")
    assert read_mask(tmp_path / "m.png").tolist() == [[0, 0, 0], [0, 0, 1]]


@pytest.mark.parametrize("values", [[0, 2], [0, 1, 2], [0, 100], [3, 3]])
def test_labels_that_would_be_taken_for_an_empty_mask_are_refused(tmp_path: Path, values: list[int]) -> None:
    Image.fromarray(np.array([values], dtype=np.uint8)).save(tmp_path / "m.png")
    with pytest.raises(ValueError, match=rf"m\.png marks nothing that is bright: its brightest value, as grey, is {max(values)}; save the region as white"):
        read_mask(tmp_path / "m.png")


def test_a_palette_of_dark_colours_is_refused(tmp_path: Path) -> None:
    drawn = Image.fromarray(np.eye(4, dtype=np.uint8)).convert("P")
    drawn.putpalette([0, 0, 0, 128, 0, 0])
    drawn.save(tmp_path / "m.png")
    with pytest.raises(ValueError, match=r"m\.png marks nothing that is bright"):
        read_mask(tmp_path / "m.png")


def test_a_mask_is_turned_as_its_exif_says(tmp_path: Path) -> None:
    region = np.zeros((16, 24), np.uint8)
    region[:8] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter to the right: the top comes to the right
    Image.fromarray(region).save(tmp_path / "m.png", exif=exif)
    found = read_mask(tmp_path / "m.png")
    assert found.shape == (24, 16)
    assert found[:, 8:].all() and not found[:, :8].any()


def picture(file: Path, size: tuple[int, int], orientation: int = 1) -> Path:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("L", size, 255).save(file, exif=exif)
    return file


@pytest.mark.parametrize(
    ("size", "orientation", "drawn"),
    [((60, 40), 1, (60, 40)), ((60, 40), 1, (30, 20)), ((600, 450), 1, (256, 192)), ((1022, 767), 1, (384, 288)), ((60, 40), 6, (40, 60)), ((60, 40), 3, (60, 40))],
)
def test_a_mask_of_the_same_proportions_fits_whatever_its_size(tmp_path: Path, size: tuple[int, int], orientation: int, drawn: tuple[int, int]) -> None:
    check_masks(tmp_path / "t.csv", [(picture(tmp_path / "a.jpg", size, orientation), picture(tmp_path / "m.png", drawn))])


@pytest.mark.parametrize(("orientation", "drawn"), [(1, (40, 60)), (6, (60, 40)), (1, (256, 256)), (1, (58, 40))])
def test_a_mask_of_other_proportions_is_refused_by_name(tmp_path: Path, orientation: int, drawn: tuple[int, int]) -> None:
    pair = picture(tmp_path / "a.jpg", (600, 400), orientation), picture(tmp_path / "m.png", drawn)
    with pytest.raises(ValueError, match=rf"t\.csv: the mask .*m\.png is {drawn[0]} x {drawn[1]}, its picture .*a\.jpg .* draw the mask on the whole picture"):
        check_masks(tmp_path / "t.csv", [pair])


def test_a_mask_that_is_not_there_is_named_with_its_picture(tmp_path: Path) -> None:
    pairs = [(picture(tmp_path / "a.jpg", (6, 4)), picture(tmp_path / "a.png", (6, 4))), (tmp_path / "b.jpg", tmp_path / "b.png"), (tmp_path / "c.jpg", None)]
    with pytest.raises(ValueError, match=r"t\.csv names .*b\.png as mask of .*b\.jpg, which does not exist \(1 of 2 masks are missing\)"):
        check_masks(tmp_path / "t.csv", pairs)


def test_every_mask_of_the_projects_own_table_fits(tmp_path: Path) -> None:
    table = shared_data() / "images" / "MANIFEST.csv"
    check_masks(table, ((row.image, row.mask) for row in read_table(table).rows))

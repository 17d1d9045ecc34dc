"""The tiles of a tiled image become one frame, its total pixel matrix; whatever cannot be one is refused."""

from copy import deepcopy
from io import BytesIO
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import JPEG2000Lossless, RLELossless

from derm_pacs.inference.header import measure
from derm_pacs.inference.pixels import Frame, Undecoded, frames
from tests.samples.tiled import part10, tiled

LIMITS = {"max_pixels": 1_000_000, "max_frames": 4}
ODD_FILES = Path(__file__).resolve().parents[3] / "shared" / "data" / "dicom" / "highdicom"


def noise(rows: int, columns: int, *, colour: bool = False, seed: int = 0) -> NDArray[np.uint8]:
    shape = (rows, columns, 3) if colour else (rows, columns)
    return np.random.default_rng(seed).integers(0, 200, shape, dtype=np.uint8)


def decoded(image: Dataset) -> NDArray[np.uint8]:
    (one,) = frames(part10(image), **LIMITS)
    assert isinstance(one, Frame), one
    assert one.number == 1
    return one.pixels


def refused(image: Dataset, **limits: int) -> tuple[str, str]:
    (one,) = frames(part10(image), **(LIMITS | limits))
    assert isinstance(one, Undecoded)
    return one.refusal.reason, one.refusal.detail


@given(
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)), tile=st.tuples(st.integers(1, 17), st.integers(1, 17)),
    full=st.booleans(), colour=st.booleans(),
)  # fmt: skip
def test_any_matrix_comes_back_from_its_tiles(
    size: tuple[int, int], tile: tuple[int, int], full: bool, colour: bool
) -> None:
    pixels = noise(*size, colour=colour)
    assert np.array_equal(decoded(tiled(pixels, tile, full=full)), pixels)


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless])
@pytest.mark.parametrize("full", [True, False])
def test_compressed_tiles_come_back_too(syntax: Any, full: bool) -> None:
    pixels = noise(50, 70)
    assert np.array_equal(decoded(tiled(pixels, (32, 32), full=full, syntax=syntax)), pixels)


def test_more_tiles_than_frames_are_allowed_are_one_frame() -> None:
    assert decoded(tiled(noise(40, 40), (4, 4))).shape == (40, 40)


def test_a_sparse_image_is_black_where_no_tile_lies() -> None:
    pixels = noise(30, 30) + np.uint8(1)
    picture = decoded(tiled(pixels, (10, 10), full=False, missing=[4]))
    assert not picture[10:20, 10:20].any()
    picture[10:20, 10:20] = pixels[10:20, 10:20]
    assert np.array_equal(picture, pixels)


def test_monochrome1_is_inverted_and_what_is_missing_stays_black() -> None:
    pixels = noise(20, 10)
    picture = decoded(tiled(pixels, (10, 10), full=False, missing=[1], PhotometricInterpretation="MONOCHROME1"))
    assert np.array_equal(picture[:10], 255 - pixels[:10])
    assert not picture[10:].any()


def test_the_header_measures_the_matrix() -> None:
    header = measure(tiled(noise(50, 70), (32, 16)))
    assert (header.rows, header.columns, header.frames) == (50, 70, 1)
    assert header.tiles is not None
    assert (header.tiles.stored, header.tiles.tiling.tile_rows, header.tiles.tiling.tile_columns) == (10, 32, 16)


def test_a_matrix_without_dimension_organization_is_read_by_its_positions() -> None:
    pixels = noise(20, 30)
    image = tiled(pixels, (8, 8), full=False, SOPClassUID="1.2.840.10008.5.1.4.1.1.77.1.8", DimensionOrganizationType=None)
    assert np.array_equal(decoded(image), pixels)


def test_one_frame_of_the_tiled_class_without_a_matrix_is_the_picture() -> None:
    gone: dict[str, Any] = dict.fromkeys(("TotalPixelMatrixRows", "TotalPixelMatrixColumns", "DimensionOrganizationType"))
    pixels = noise(20, 30)
    assert np.array_equal(decoded(tiled(pixels, (20, 30), **gone)), pixels)


def doubled(image: Dataset) -> Dataset:
    groups = list(image.PerFrameFunctionalGroupsSequence)
    groups[0] = deepcopy(groups[1])
    image.PerFrameFunctionalGroupsSequence = groups
    return image


def moved(image: Dataset, row: int) -> Dataset:
    image.PerFrameFunctionalGroupsSequence[0].PlanePositionSlideSequence[0].RowPositionInTotalImagePixelMatrix = row
    return image


def without_places(image: Dataset) -> Dataset:
    del image.PerFrameFunctionalGroupsSequence[2].PlanePositionSlideSequence
    return image


PICTURE = noise(20, 20)


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (tiled(PICTURE, (10, 10), TotalPixelMatrixRows=30), "4 tiles for a matrix of 6"),
        (tiled(PICTURE, (10, 10), TotalPixelMatrixRows=None), "(0048,0007) is missing"),
        (tiled(PICTURE, (10, 10), TotalPixelMatrixColumns=None), "(0048,0006) is missing"),
        (doubled(tiled(PICTURE, (10, 10), full=False)), "two tiles lie at one place"),
        (moved(tiled(PICTURE, (10, 10), full=False), 21), "outside the total pixel matrix"),
        (moved(tiled(PICTURE, (10, 10), full=False), 0), "outside the total pixel matrix"),
        (without_places(tiled(PICTURE, (10, 10), full=False)), "frame 3 does not say where"),
        (tiled(PICTURE, (10, 10), NumberOfFrames=9), "9 tiles for a matrix of 4"),
        (tiled(PICTURE, (10, 10), PixelData=bytes(150)), "tiled image"),
    ],
)
def test_tiles_that_make_no_matrix_are_refused_with_the_reason(image: Dataset, said: str) -> None:
    reason, detail = refused(image)
    assert reason == "undecodable"
    assert said in detail


def test_a_broken_tile_takes_the_whole_image_along() -> None:
    image = tiled(noise(64, 64), (32, 32), syntax=JPEG2000Lossless)
    whole = list(pydicom.encaps.generate_frames(image.PixelData, number_of_frames=4))
    image.PixelData = pydicom.encaps.encapsulate([*whole[:2], b"\xff\x4f" + bytes(100), whole[3]])
    assert refused(image)[0] == "undecodable"


def test_a_matrix_over_the_limit_is_refused_before_it_is_allocated() -> None:
    image = tiled(noise(8, 8), (8, 8), TotalPixelMatrixRows=2**31 - 1, TotalPixelMatrixColumns=2**31 - 1)
    assert refused(image)[0] == "image_too_large"


def test_tiles_that_hold_far_more_than_their_matrix_are_refused() -> None:
    image = tiled(noise(8, 8), (8, 8), full=False, Rows=60000, Columns=60000)
    assert refused(image) == ("image_too_large", "1 tiles hold 3600000000 pixels, at most 4 times 1000000")


@pytest.mark.parametrize("name", ["sm_image", "sm_image_jpegls", "sm_image_numbers"])
def test_real_slide_images_become_what_highdicom_makes_of_them(name: str) -> None:
    file = ODD_FILES / f"{name}.dcm"
    if not file.is_file():
        pytest.skip("../shared/data/dicom is not there")
    content = file.read_bytes()
    (one,) = frames(content, **LIMITS)
    assert isinstance(one, Frame), one
    theirs = highdicom.imread(BytesIO(content)).get_total_pixel_matrix(apply_icc_profile=False)
    assert np.array_equal(one.pixels, theirs)

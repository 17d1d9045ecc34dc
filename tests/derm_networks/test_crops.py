"""The crop search: what it gives fits the rule, and it gives nothing only where nothing is to be had."""

import time
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from skimage import measure

from derm_networks.crops import Crop, find_crops

label: Callable[..., Any] = measure.label
regionprops: Callable[..., Any] = measure.regionprops

Masks = tuple[NDArray[np.bool_], NDArray[np.bool_]]


@st.composite
def masks(draw: st.DrawFn, side: int = 20, lesions: int = 3) -> Masks:
    """A lesion mask of a few boxes and a skin mask of a few, which need not hold them."""
    rows, columns = draw(st.integers(4, side)), draw(st.integers(4, side))
    made = []
    for most in (lesions, 3):
        mask = np.zeros((rows, columns), dtype=np.bool_)
        for _ in range(draw(st.integers(0, most))):
            top, left = draw(st.integers(0, rows - 1)), draw(st.integers(0, columns - 1))
            mask[top : top + draw(st.integers(1, rows)), left : left + draw(st.integers(1, columns))] = True
        made.append(mask)
    return made[0], made[1]


def pixels(mask: NDArray[np.bool_], crop: Crop) -> NDArray[np.bool_]:
    return mask[crop.top : crop.top + crop.height, crop.left : crop.left + crop.width]


def fits(lesion: NDArray[np.bool_], skin: NDArray[np.bool_], crop: Crop) -> bool:
    return bool(pixels(lesion | skin, crop).mean() > 0.8 and pixels(lesion, crop).mean() > 0.1)


def every_square_around(lesion: NDArray[np.bool_], context: float = 2.0) -> list[list[Crop]]:
    """Every square, to a pixel, that holds a lesion's box, cut at the border; one list a lesion."""
    rows, columns = lesion.shape
    squares = []
    for region in regionprops(label(lesion, connectivity=2)):
        top, left, bottom, right = region.bbox
        smallest = max(bottom - top, right - left)
        squares.append(
            [
                Crop(max(x, 0), max(y, 0), min(x + width, columns) - max(x, 0), min(y + height, rows) - max(y, 0))
                for side in range(smallest, int(context * smallest) + 1)
                for width, height in product((side, side - 1), repeat=2)
                for x in range(right - width, left + 1)
                for y in range(bottom - height, top + 1)
            ]
        )
    return squares


@given(masks())
@settings(max_examples=60, deadline=None)
def test_every_crop_lies_in_the_image_and_fits_the_rule(both: Masks) -> None:
    lesion, skin = both
    for crop in find_crops(lesion, skin, max_crops=16, min_region=0.0):
        assert crop.left >= 0 and crop.top >= 0 and crop.width > 0 and crop.height > 0
        assert crop.left + crop.width <= lesion.shape[1] and crop.top + crop.height <= lesion.shape[0]
        assert fits(lesion, skin, crop)


@given(masks(side=12))
@settings(max_examples=40, deadline=None)
def test_a_lesion_without_a_crop_has_none_by_brute_force_either(both: Masks) -> None:
    lesion, skin = both
    with_one = [any(fits(lesion, skin, crop) for crop in squares) for squares in every_square_around(lesion)]
    crops = find_crops(lesion, skin, max_crops=64, min_region=0.0)
    assert bool(crops) == any(with_one)
    for squares, possible in zip(every_square_around(lesion), with_one, strict=True):
        assert not possible or set(squares) & set(crops)


@given(masks())
@settings(max_examples=60, deadline=None)
def test_on_skin_alone_a_mirrored_or_turned_image_gives_mirrored_or_turned_crops(both: Masks) -> None:
    lesion, skin = both[0], np.ones_like(both[0])
    columns = lesion.shape[1]
    crops = set(find_crops(lesion, skin, max_crops=64, min_region=0.0))
    mirrored = set(find_crops(lesion[:, ::-1], skin, max_crops=64, min_region=0.0))
    turned = set(find_crops(lesion.T, skin.T, max_crops=64, min_region=0.0))
    assert mirrored == {Crop(columns - one.left - one.width, one.top, one.width, one.height) for one in crops}
    assert turned == {Crop(one.top, one.left, one.height, one.width) for one in crops}


@given(masks())
@settings(max_examples=30, deadline=None)
def test_as_many_crops_are_found_in_a_mirrored_image_whatever_is_skin(both: Masks) -> None:
    lesion, skin = both
    crops = find_crops(lesion, skin, max_crops=64, min_region=0.0)
    assert bool(crops) == bool(find_crops(lesion[::-1], skin[::-1], max_crops=64, min_region=0.0))


def disc(rows: int, columns: int, x: float, y: float, radius: float) -> NDArray[np.bool_]:
    down, across = np.mgrid[:rows, :columns]
    return np.asarray((across - x) ** 2 + (down - y) ** 2 < radius**2)


def test_a_lesion_in_the_middle_of_skin_is_read_with_its_surroundings() -> None:
    lesion = disc(100, 100, 50, 50, 10)
    (crop,) = find_crops(lesion, np.ones_like(lesion))
    box = regionprops(lesion.astype(np.uint8))[0].bbox
    assert crop.width == crop.height
    assert 0 <= 2 * (box[2] - box[0]) - crop.width <= 1
    assert 0.1 < pixels(lesion, crop).mean() < 0.3


def test_two_lesions_far_apart_give_two_crops_the_larger_first() -> None:
    small, large = disc(100, 200, 40, 50, 8), disc(100, 200, 150, 50, 12)
    first, second = find_crops(small | large, np.ones_like(small))
    assert first.left > 100 > second.left + second.width


def test_no_more_crops_are_given_than_asked_for() -> None:
    lesion = disc(20, 20, 10, 10, 5)
    many = np.tile(lesion, (4, 4))
    assert len(find_crops(many, np.ones_like(many), max_crops=3)) == 3


def test_a_lesion_at_the_edge_of_the_skin_gets_a_crop_that_lies_towards_the_skin() -> None:
    lesion = disc(100, 100, 50, 24, 10)
    skin = np.zeros_like(lesion)
    skin[20:] = True
    (crop,) = find_crops(lesion, skin)
    assert fits(lesion, skin, crop)
    assert crop.top >= 8


def test_a_lesion_on_no_skin_gets_no_crop_where_its_box_is_not_enough() -> None:
    down, across = np.mgrid[:100, :100]
    lesion = np.abs(across - 50) + np.abs(down - 50) < 20  # a diamond covers half of its box
    assert find_crops(lesion, np.zeros_like(lesion)) == ()


def test_a_line_across_the_image_is_too_little_lesion() -> None:
    lesion = np.eye(100, dtype=np.bool_)
    assert find_crops(lesion, np.ones_like(lesion)) == ()


def test_specks_below_the_least_region_are_no_lesions() -> None:
    lesion = np.zeros((100, 100), dtype=np.bool_)
    lesion[5, 5] = True
    assert find_crops(lesion, np.ones_like(lesion)) == ()
    assert len(find_crops(lesion, np.ones_like(lesion), min_region=0.0)) == 1


def test_an_image_without_a_lesion_has_no_crop() -> None:
    assert find_crops(np.zeros((20, 30), dtype=np.bool_), np.ones((20, 30), dtype=np.bool_)) == ()


def test_masks_of_different_images_are_refused_with_their_shapes() -> None:
    with pytest.raises(ValueError, match=r"\(2, 3\).*\(3, 2\)"):
        find_crops(np.ones((2, 3), dtype=np.bool_), np.ones((3, 2), dtype=np.bool_))


def test_the_same_masks_give_the_same_crops_also_on_a_photograph_of_twelve_megapixels_within_seconds() -> None:
    lesion = disc(3000, 4000, 2000, 1000, 300) | disc(3000, 4000, 600, 2400, 90)
    skin = disc(3000, 4000, 1700, 1500, 1900)
    began = time.process_time()
    crops = find_crops(lesion, skin)
    assert time.process_time() - began < 10
    assert len(crops) == 2
    assert find_crops(lesion, skin) == crops

"""What is measured of masks."""

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from derm_pacs.domain import geometry
from derm_pacs.domain.findings import Mask

small_masks = arrays(np.bool_, st.tuples(st.integers(1, 7), st.integers(1, 7)))


def rectangle(rows: int, columns: int) -> Mask:
    mask = np.zeros((40, 50), dtype=np.bool_)
    mask[5 : 5 + rows, 7 : 7 + columns] = True
    return mask


def test_area_and_share_of_a_rectangle() -> None:
    assert geometry.area_pixels(rectangle(4, 5)) == 20
    assert geometry.share(rectangle(4, 5)) == 20 / 2000


def test_the_greatest_diameter_of_a_rectangle_is_its_diagonal() -> None:
    assert math.isclose(geometry.greatest_diameter(rectangle(3, 4)), 5.0)


def test_one_pixel_is_as_wide_as_its_diagonal() -> None:
    assert math.isclose(geometry.greatest_diameter(rectangle(1, 1)), math.sqrt(2))


def test_an_empty_mask_measures_zero() -> None:
    assert geometry.greatest_diameter(np.zeros((3, 3), dtype=np.bool_)) == 0.0


def test_rows_and_columns_are_scaled_each_by_its_own_spacing() -> None:
    assert math.isclose(geometry.greatest_diameter(rectangle(3, 4), 0.5, 0.25), math.hypot(1.5, 1.0))


@settings(deadline=None, max_examples=50)
@given(mask=small_masks, row=st.floats(0.01, 3), column=st.floats(0.01, 3))
def test_the_greatest_diameter_is_that_of_all_pairs_of_corners(mask: Mask, row: float, column: float) -> None:
    corners = [(r + i, c + j) for r, c in np.argwhere(mask) for i in (0, 1) for j in (0, 1)]
    pairs = (math.hypot((a[0] - b[0]) * row, (a[1] - b[1]) * column) for a in corners for b in corners)
    assert math.isclose(geometry.greatest_diameter(mask, row, column), max(pairs, default=0.0), abs_tol=1e-9)


@settings(deadline=None, max_examples=50)
@given(mask=small_masks)
def test_the_greatest_diameter_does_not_depend_on_how_the_picture_is_turned(mask: Mask) -> None:
    turned = np.ascontiguousarray(np.rot90(mask))
    assert math.isclose(geometry.greatest_diameter(mask), geometry.greatest_diameter(turned), abs_tol=1e-9)

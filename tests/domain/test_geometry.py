"""What is measured of masks."""

import math

import numpy as np
import pytest
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


def disc(radius: float, row: float = 1.0, column: float = 1.0) -> Mask:
    """A disc of `radius` units on a grid whose pixels are `row` by `column` units."""
    rows, columns = math.ceil(radius / row) + 2, math.ceil(radius / column) + 2
    down, right = np.mgrid[-rows : rows + 1, -columns : columns + 1]
    inside: Mask = np.hypot(down * row, right * column) <= radius
    return inside


def leaning_square(side: float, angle: float) -> Mask:
    """A square turned about its middle, on square pixels."""
    reach = math.ceil(side)
    down, right = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    along, across = right * math.cos(angle) + down * math.sin(angle), down * math.cos(angle) - right * math.sin(angle)
    inside: Mask = np.maximum(abs(along), abs(across)) <= side / 2
    return inside


@pytest.mark.parametrize(("radius", "allowed"), [(5, 0.06), (10, 0.03), (20, 0.01), (50, 0.005), (300, 0.005)])
def test_the_perimeter_of_a_disc_is_right_within_the_stated_share(radius: int, allowed: float) -> None:
    assert geometry.perimeter(disc(radius)) == pytest.approx(2 * math.pi * radius, rel=allowed)


@pytest.mark.parametrize(("row", "column"), [(0.5, 1.0), (1.0, 0.5), (0.002, 0.001), (0.03, 0.02), (0.25, 1.0)])
def test_the_perimeter_of_a_disc_of_oblong_pixels_is_right_too(row: float, column: float) -> None:
    radius = 60 * max(row, column)
    assert geometry.perimeter(disc(radius, row, column), row, column) == pytest.approx(2 * math.pi * radius, rel=0.01)


@pytest.mark.parametrize("degrees", range(0, 91, 5))
def test_a_straight_edge_is_long_or_short_by_no_more_than_is_said(degrees: int) -> None:
    side = 200
    corners = 4 * 0.6
    length = geometry.perimeter(leaning_square(side, math.radians(degrees)))
    assert 4 * side * (1 - 0.015) - corners <= length <= 4 * side * (1 + 0.014) + corners


@pytest.mark.parametrize("side", [10, 50, 200])
@pytest.mark.parametrize(("row", "column"), [(1.0, 1.0), (2.0, 1.0), (1.0, 2.0)])
def test_the_perimeter_of_an_upright_rectangle_is_a_little_short(side: int, row: float, column: float) -> None:
    true = 2 * side * (row + column)
    length = geometry.perimeter(np.ones((side, side), dtype=np.bool_), row, column)
    assert true * (1 - 0.039) - 4 * max(row, column) <= length < true


def test_a_hole_adds_its_own_edge() -> None:
    whole, hole = disc(60), disc(20)
    ring = whole.copy()
    middle = slice(whole.shape[0] // 2 - hole.shape[0] // 2, whole.shape[0] // 2 + hole.shape[0] // 2 + 1)
    ring[middle, middle] &= ~hole
    assert math.isclose(geometry.perimeter(ring), geometry.perimeter(whole) + geometry.perimeter(hole), rel_tol=1e-9)


def test_the_edge_of_the_image_is_an_edge_of_what_reaches_it() -> None:
    mask = np.zeros((60, 60), dtype=np.bool_)
    mask[10:50, 10:50] = True
    assert math.isclose(geometry.perimeter(mask), geometry.perimeter(mask[10:50, 10:50]), rel_tol=1e-12)


def test_an_empty_mask_has_no_perimeter() -> None:
    assert geometry.perimeter(np.zeros((3, 3), dtype=np.bool_)) == 0.0


@settings(deadline=None, max_examples=40)
@given(mask=small_masks, row=st.floats(0.01, 3), column=st.floats(0.01, 3), factor=st.floats(0.1, 10))
def test_the_perimeter_grows_with_the_pixel_and_does_not_depend_on_how_the_picture_lies(
    mask: Mask, row: float, column: float, factor: float
) -> None:
    length = geometry.perimeter(mask, row, column)
    assert math.isclose(geometry.perimeter(mask, factor * row, factor * column), factor * length, rel_tol=1e-9, abs_tol=1e-12)
    assert math.isclose(geometry.perimeter(mask.T, column, row), length, rel_tol=1e-9, abs_tol=1e-12)
    assert math.isclose(geometry.perimeter(mask[::-1, ::-1], row, column), length, rel_tol=1e-9, abs_tol=1e-12)
    assert math.isclose(geometry.perimeter(mask[::-1], row, column), length, rel_tol=1e-9, abs_tol=1e-12)

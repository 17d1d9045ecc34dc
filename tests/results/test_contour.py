"""Outlines of masks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from derm_pacs.domain.findings import Mask
from derm_pacs.results.contour import MOST_POINTS, outline


def test_a_pixel_is_outlined_around_its_centre() -> None:
    mask = np.zeros((5, 7), dtype=np.bool_)
    mask[2, 4] = True
    points = outline(mask)
    assert np.allclose(points[:-1].mean(axis=0), [4.5, 2.5])


def test_the_largest_region_is_outlined() -> None:
    mask = np.zeros((30, 30), dtype=np.bool_)
    mask[1:3, 1:3] = True
    mask[10:28, 10:28] = True
    assert outline(mask).min() >= 9.9


def test_a_hole_is_not_taken_for_the_outline() -> None:
    mask = np.zeros((30, 30), dtype=np.bool_)
    mask[5:25, 5:25] = True
    mask[6:24, 6:24] = False
    assert outline(mask).min() < 6


def test_a_mask_that_touches_every_edge_stays_inside_the_image() -> None:
    points = outline(np.ones((20, 10), dtype=np.bool_))
    assert points[:, 0].min() >= 0 and points[:, 0].max() <= 10
    assert points[:, 1].min() >= 0 and points[:, 1].max() <= 20


def test_a_ragged_outline_of_a_large_image_stays_short_and_true() -> None:
    row, column = np.mgrid[:1500, :2000]
    angle = np.arctan2(row - 750, column - 1000)
    mask = np.hypot(row - 750, column - 1000) < 500 + 40 * np.sin(90 * angle)
    points = outline(mask)
    assert 100 < len(points) <= MOST_POINTS
    away = np.hypot(points[:, 0] - 1000, points[:, 1] - 750)
    assert away.min() > 440 and away.max() < 560


def test_an_empty_mask_has_none() -> None:
    with pytest.raises(ValueError, match="empty mask"):
        outline(np.zeros((3, 3), dtype=np.bool_))


@settings(max_examples=60, deadline=None)
@given(mask=arrays(np.bool_, st.tuples(st.integers(1, 12), st.integers(1, 12))).filter(lambda mask: bool(mask.any())))
def test_an_outline_is_closed_short_and_inside_the_image(mask: Mask) -> None:
    points = outline(mask)
    assert np.array_equal(points[0], points[-1])
    assert 4 <= len(points) <= MOST_POINTS
    assert points.min() >= 0
    assert points[:, 0].max() <= mask.shape[1] and points[:, 1].max() <= mask.shape[0]

"""Figures of a mask of several parts: the area is of all, the greatest diameter of one."""

import numpy as np
import pytest

from derm_pacs.domain import geometry
from derm_pacs.results.measure import measure


def two_squares(side: int = 10, apart: int = 60) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    mask = np.zeros((40, 100), dtype=np.bool_)
    mask[5 : 5 + side, 5 : 5 + side] = mask[20 : 22 + side, 5 + apart : 7 + apart + side] = True
    return mask


def test_the_greatest_diameter_of_two_lesions_is_that_of_the_larger() -> None:
    found = measure(two_squares(), None)
    assert (found.pixels, found.parts) == (100 + 144, 2)
    assert found.diameter == pytest.approx(12 * 2**0.5, rel=1e-5)


def test_parts_that_join_at_a_corner_are_one() -> None:
    mask = np.eye(8, dtype=np.bool_)
    found = measure(mask, None)
    assert found.parts == 1
    assert found.diameter == pytest.approx(geometry.greatest_diameter(mask), rel=1e-5)


def test_nothing_and_everything_are_measured_too() -> None:
    nothing, everything = measure(np.zeros((6, 8), np.bool_), None), measure(np.ones((6, 8), np.bool_), None)
    assert (nothing.parts, nothing.diameter) == (0, 0.0)
    assert (everything.parts, everything.diameter) == (1, 10.0)

"""What can be measured of a mask with numpy alone: its area, its share of the image, its perimeter, its greatest diameter."""

import math

import numpy as np
from numpy.typing import NDArray

from derm_pacs.domain.findings import Mask


def area_pixels(mask: Mask) -> int:
    """Return how many pixels of the (rows, columns) mask are inside."""
    return int(np.count_nonzero(mask))


def share(mask: Mask) -> float:
    """Return the inside's share of the (rows, columns) mask, 0..1."""
    return area_pixels(mask) / mask.size


def greatest_diameter(mask: Mask, row_spacing: float = 1.0, column_spacing: float = 1.0) -> float:
    """Return the greatest distance between two points of the inside (greatest Feret diameter), 0.0 for an empty mask.

    `row_spacing` is the distance between the centres of two rows, `column_spacing` of two columns, as in Pixel Spacing
    (PS3.3 section 10.7.1.3); the result has their unit. Pixels count with their whole square, so the diameter of one
    square pixel is the square root of two.
    """
    corners = _extreme_corners(mask)
    if not len(corners):
        return 0.0
    hull = _convex_hull(corners * np.array([row_spacing, column_spacing]))
    distances = np.hypot(
        hull[:, None, 0] - hull[None, :, 0],
        hull[:, None, 1] - hull[None, :, 1],
    )
    return float(distances.max())


_LINES = ((0, 1), (1, 0), (1, 1), (1, -1), (1, 2), (2, 1), (1, -2), (2, -1))
"""(row, column) steps of the eight directions in which a perimeter's lines run."""


def perimeter(mask: Mask, row_spacing: float = 1.0, column_spacing: float = 1.0) -> float:
    """Return the length of the inside's edge, of holes too, 0.0 for an empty mask; spacings and unit as above.

    Estimated by Crofton's formula: how often lines of eight directions cross the edge, each direction weighed by its
    share of the half circle (Legland, Kieu, Devaux, Image Anal Stereol 26, 2007; two directions more than there in
    each quadrant). The edge of the image counts as edge.

    The bias: none on average over all directions of an edge. Round outlines come out right within 1 % from a radius of
    20 pixels on and within 6 % from 5. A straight edge comes out 1.5 % short to 1.4 % long, by its direction (3.9 %
    short to 5.7 % long where a pixel is twice as long as wide), and a sharp right-angled corner half a pixel short.
    Counting the sides of pixels instead would make a disc 27 % too long.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return 0.0
    framed = np.pad(mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], 2)
    weighed = (
        weight * _crossings(framed, step) / math.hypot(step[0] * row_spacing, step[1] * column_spacing)
        for step, weight in zip(_LINES, _shares_of_half_circle(row_spacing, column_spacing), strict=True)
    )
    return 0.5 * row_spacing * column_spacing * sum(weighed)


def _crossings(framed: Mask, step: tuple[int, int]) -> int:
    """Return how often lines through the pixels in one direction change between inside and outside."""
    rows, columns = framed.shape
    down, right = step
    left = max(-right, 0)
    near = framed[: rows - down, left : columns - max(right, 0)]
    far = framed[down:, left + right : columns - max(right, 0) + right]
    return int(np.count_nonzero(near != far))


def _shares_of_half_circle(row_spacing: float, column_spacing: float) -> list[float]:
    """Return for each direction the angle, in radian, of which it is the nearest; together they are half a circle."""
    angles = [math.atan2(down * row_spacing, right * column_spacing) % math.pi for down, right in _LINES]
    ordered = sorted(angles)
    around = [ordered[-1] - math.pi, *ordered, ordered[0] + math.pi]
    return [(around[at + 2] - around[at]) / 2 for at in (ordered.index(angle) for angle in angles)]


def _extreme_corners(mask: Mask) -> NDArray[np.float64]:
    """Return the (row, column) corners of the first and last inside pixel of each row: the hull needs no others."""
    rows = np.flatnonzero(mask.any(axis=1))
    if not rows.size:
        return np.empty((0, 2))
    inside = mask[rows]
    first = inside.argmax(axis=1)
    last = mask.shape[1] - inside[:, ::-1].argmax(axis=1)
    return np.array(
        [
            (row + edge, column)
            for row, left, right in zip(rows, first, last, strict=True)
            for edge in (0, 1)
            for column in (left, right)
        ],
        dtype=np.float64,
    )


def _convex_hull(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the convex hull of (n, 2) points by Andrew's monotone chain."""
    ordered = sorted({(float(first), float(second)) for first, second in points})
    if len(ordered) <= 2:
        return np.array(ordered)
    return np.array(_half_hull(ordered)[:-1] + _half_hull(ordered[::-1])[:-1])


def _half_hull(ordered: list[tuple[float, float]]) -> list[tuple[float, float]]:
    hull: list[tuple[float, float]] = []
    for point in ordered:
        while len(hull) >= 2 and _turn(hull[-2], hull[-1], point) <= 0:
            hull.pop()
        hull.append(point)
    return hull


def _turn(one: tuple[float, float], two: tuple[float, float], three: tuple[float, float]) -> float:
    return (two[0] - one[0]) * (three[1] - one[1]) - (two[1] - one[1]) * (three[0] - one[0])

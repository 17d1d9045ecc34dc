"""The outline of a mask's largest region as a closed polyline in image coordinates."""

import numpy as np
from numpy.typing import NDArray
from skimage import measure

from derm_pacs.domain.findings import Mask

MOST_POINTS = 500
"""Points of an outline; more make the document large and no viewer sharper."""


def outline(mask: Mask) -> NDArray[np.float64]:
    """Return the (n, 2) column and row coordinates of the largest region's outline, the first point repeated at the end.

    The corner of the first pixel is (0, 0) and its centre (0.5, 0.5) (PS3.3 section C.18.6.1.1); n is at most 500.
    Raises `ValueError` for an empty mask.
    """
    rows = np.flatnonzero(mask.any(axis=1))
    columns = np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        raise ValueError("an empty mask has no outline")
    top, left = int(rows[0]), int(columns[0])
    inside = np.pad(mask[top : rows[-1] + 1, left : columns[-1] + 1], 1).astype(np.float32)
    contour = _simplified(max(_contours(inside), key=_enclosed_area))
    points = np.stack([contour[:, 1] + left - 0.5, contour[:, 0] + top - 0.5], axis=1)
    points = np.clip(np.round(points, 2), 0.0, [mask.shape[1], mask.shape[0]])
    points[-1] = points[0]
    return points


def _contours(inside: NDArray[np.float32]) -> list[NDArray[np.float64]]:
    """Return the closed (n, 2) outlines, row and column, of all regions and holes."""
    return list(measure.find_contours(inside))  # type: ignore[no-untyped-call]


def _simplified(contour: NDArray[np.float64]) -> NDArray[np.float64]:
    # Long outlines begin coarser: finer steps would cost a second and be thrown away all the same.
    tolerance = max(0.25, len(contour) / 8000)
    while len(contour) > MOST_POINTS:
        contour = np.asarray(measure.approximate_polygon(contour, tolerance))  # type: ignore[no-untyped-call]
        tolerance *= 2
    return contour


def _enclosed_area(contour: NDArray[np.float64]) -> float:
    """Return the area inside a closed (n, 2) contour, by the shoelace formula; holes count as inside."""
    rows, columns = contour[:, 0], contour[:, 1]
    return float(abs(np.dot(rows[:-1], columns[1:]) - np.dot(columns[:-1], rows[1:]))) / 2

"""What is said of a mask in numbers: in millimetres only with a true pixel size, else in pixels."""

import math
from dataclasses import dataclass

import numpy as np
from skimage.measure import label, regionprops

from derm_pacs.domain import geometry
from derm_pacs.domain.findings import Mask
from derm_pacs.results.spacing import Spacing


@dataclass(frozen=True, slots=True, kw_only=True)
class Measures:
    """The figures of one region; an empty mask measures zero."""

    area: float
    """In mm2 with a spacing, else in pixels."""
    diameter: float
    """Greatest distance between two points of one part of the region, in mm with a spacing, else in pixels: two lesions of
    an image are two parts, and the way from one to the other is no diameter."""
    perimeter: float
    """Length of the region's edge, in mm with a spacing, else in pixels; its bias stands at `geometry.perimeter`."""
    pixels: int
    parts: int
    """How many parts the region has whose pixels join by edges or corners."""
    share: float
    """Share of the image, 0..1."""
    spacing: Spacing | None


def measure(mask: Mask, spacing: Spacing | None) -> Measures:
    """Measure a (rows, columns) mask; figures are rounded to six significant digits, as they are written."""
    pixels = geometry.area_pixels(mask)
    row, column = (spacing.row, spacing.column) if spacing else (1.0, 1.0)
    diameter, parts = _greatest_diameter(mask, row, column)
    return Measures(
        area=significant(pixels * row * column) if spacing else float(pixels),
        diameter=significant(diameter),
        perimeter=significant(geometry.perimeter(mask, row, column)),
        pixels=pixels,
        parts=parts,
        share=geometry.share(mask),
        spacing=spacing,
    )


def _greatest_diameter(mask: Mask, row: float, column: float) -> tuple[float, int]:
    """Return the greatest diameter of any part of the mask, 0.0 where there is none, and how many parts there are."""
    if mask.all():  # skin all over: nothing to search
        return geometry.greatest_diameter(mask, row, column), 1
    labels = label(mask, connectivity=2)  # type: ignore[no-untyped-call]
    parts = [(_diagonal(one.bbox, row, column), one) for one in regionprops(labels)]  # type: ignore[no-untyped-call]
    greatest = 0.0
    for diagonal, one in sorted(parts, key=lambda part: -part[0]):
        if diagonal <= greatest:  # no part is longer than its bounding box: a mask of specks costs little
            break
        greatest = max(greatest, geometry.greatest_diameter(np.asarray(one.image, dtype=np.bool_), row, column))
    return greatest, len(parts)


def _diagonal(box: tuple[int, int, int, int], row: float, column: float) -> float:
    top, left, bottom, right = box
    return math.hypot((bottom - top) * row, (right - left) * column)


def significant(value: float) -> float:
    """Round to six significant digits, so that the decimal string of a NUM and its floating point value agree."""
    return float(f"{value:.6g}")


def probability(value: float) -> float:
    """Round a probability to the six decimals that are written."""
    return round(value, 6)


def certainty(value: float) -> float:
    """Return a probability as per cent with the four decimals that its six have become."""
    return round(100 * probability(value), 4)


def percent(fraction: float) -> float:
    """Return a fraction as per cent with one decimal, as it stands beside a contour."""
    return round(100 * fraction, 1)

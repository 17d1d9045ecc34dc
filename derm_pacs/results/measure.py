"""What is said of a mask in numbers: in millimetres only with a true pixel size, else in pixels."""

from dataclasses import dataclass

from derm_pacs.domain import geometry
from derm_pacs.domain.findings import Mask
from derm_pacs.results.spacing import Spacing


@dataclass(frozen=True, slots=True, kw_only=True)
class Measures:
    """The figures of one region; an empty mask measures zero."""

    area: float
    """In mm2 with a spacing, else in pixels."""
    diameter: float
    """Greatest distance between two points of the region, in mm with a spacing, else in pixels."""
    perimeter: float
    """Length of the region's edge, in mm with a spacing, else in pixels; its bias stands at `geometry.perimeter`."""
    pixels: int
    share: float
    """Share of the image, 0..1."""
    spacing: Spacing | None


def measure(mask: Mask, spacing: Spacing | None) -> Measures:
    """Measure a (rows, columns) mask; figures are rounded to six significant digits, as they are written."""
    pixels = geometry.area_pixels(mask)
    row, column = (spacing.row, spacing.column) if spacing else (1.0, 1.0)
    return Measures(
        area=significant(pixels * row * column) if spacing else float(pixels),
        diameter=significant(geometry.greatest_diameter(mask, row, column)),
        perimeter=significant(geometry.perimeter(mask, row, column)),
        pixels=pixels,
        share=geometry.share(mask),
        spacing=spacing,
    )


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

"""How large a pixel truly is, where the image says so in a way that holds at the skin.

The rule: Pixel Measures of confocal classes (the module is mandatory there and speaks of the tissue, PS3.3 A.90);
else Pixel Spacing with a Pixel Spacing Calibration Type (PS3.3 section 10.7.1.3: FIDUCIAL or GEOMETRY say that the
value was calibrated in the object). A bare Pixel Spacing, Imager Pixel Spacing, Nominal Scanned Pixel Spacing or a
magnification factor is the camera's business and gives no millimetres.
"""

import math
from dataclasses import dataclass

from pydicom import Dataset

CONFOCAL_CLASSES = frozenset({"1.2.840.10008.5.1.4.1.1.77.1.8", "1.2.840.10008.5.1.4.1.1.77.1.9"})
_CALIBRATED = ("FIDUCIAL", "GEOMETRY")


@dataclass(frozen=True, slots=True, kw_only=True)
class Spacing:
    """Distance between the centres of neighbouring rows and columns, in mm, and where it stands."""

    row: float
    column: float
    origin: str
    """In words, for the report."""


def true_spacing(dataset: Dataset, frame: int) -> Spacing | None:
    """Return the true pixel size of a frame (1-based) of an image, None where the image does not say it."""
    if str(dataset.get("SOPClassUID", "")) in CONFOCAL_CLASSES:
        measures = functional_group(dataset, frame, "PixelMeasuresSequence")
        if measures is not None:
            return _spacing(measures, "Pixel Measures of the confocal image")
    calibration = str(dataset.get("PixelSpacingCalibrationType", ""))
    if calibration in _CALIBRATED:
        return _spacing(dataset, f"Pixel Spacing, calibrated by {calibration}")
    return None


def says_oblong_pixels(dataset: Dataset, frame: int) -> bool:
    """Say whether a frame (1-based) names two different spacings, true or not, as viewers read them."""
    item = functional_group(dataset, frame, "PixelMeasuresSequence") or dataset
    try:
        row, column = (float(value) for value in item.PixelSpacing)
    except (AttributeError, TypeError, ValueError):
        return False  # absent, empty or not two numbers: viewers count pixels
    return row != column


def functional_group(dataset: Dataset, frame: int, keyword: str) -> Dataset | None:
    """Return the first item of a functional group of a frame (1-based): its own, else the shared one, else None."""
    per_frame = dataset.get("PerFrameFunctionalGroupsSequence") or []
    own = per_frame[frame - 1] if frame <= len(per_frame) else None
    shared = dataset.get("SharedFunctionalGroupsSequence") or [None]
    for groups in (own, shared[0]):
        items = groups.get(keyword) if groups is not None else None
        if items:
            item: Dataset = items[0]
            return item
    return None


def _spacing(item: Dataset, origin: str) -> Spacing | None:
    try:
        row, column = (float(value) for value in item.PixelSpacing)
    except (AttributeError, TypeError, ValueError):
        return None  # absent, empty or not two numbers: the image does not say it
    if not all(math.isfinite(value) and value > 0 for value in (row, column)):
        return None
    return Spacing(row=row, column=column, origin=origin)

"""Where the frames of a SEG lie: the image's own geometry, a placeholder, or none.

A mask refers to its image pixel by pixel through Derivation Image, so neither a frame of reference nor a spacing is
needed (PS3.3 A.51.5.1). OHIF goes black without Pixel Measures and Plane Orientation; the placeholder is for viewers
like it. It is 1 mm, and nothing is ever measured from it. What the image itself says is always taken, never beside it.
"""

import math
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field

from highdicom.utils import compute_plane_position_tiled_full
from pydicom import Dataset
from pydicom.valuerep import DSfloat

from derm_pacs.domain.edition import SegGeometry
from derm_pacs.domain.identifiers import is_legal_uid
from derm_pacs.domain.tiling import Tiling
from derm_pacs.results.source import SourceImage
from derm_pacs.results.spacing import functional_group

PLACEHOLDER_SPACING = (1.0, 1.0)
PLACEHOLDER_THICKNESS = 1.0
PLACEHOLDER_ORIENTATION = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
PLACEHOLDER_SLIDE = (0.0, -1.0, 0.0, -1.0, 0.0, 0.0)
"""Rows and columns of a slide whose label is at the bottom (PS3.3 C.8.12.2.1.1)."""

_DEPTHS = ("SliceThickness", "SpacingBetweenSlices")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Geometry:
    """What a SEG says of geometry, as elements to be put into it."""

    top: Dataset = field(default_factory=Dataset)
    """Of the whole object."""
    shared: Dataset = field(default_factory=Dataset)
    """Functional groups of all frames."""
    frames: Sequence[Dataset]
    """Functional groups of each frame of the SEG, in order."""


def plane_geometry(image: SourceImage, numbers: Sequence[int], wanted: SegGeometry) -> Geometry:
    """Return the geometry of frames that each cover the source frame (1-based) of the same place in `numbers`."""
    told = sorted(set(numbers))
    own = {number: _own_planes(image, number) for number in told}
    if _has_frame_of_reference(image) and all("PlanePositionSequence" in groups for groups in own.values()):
        top = _frame_of_reference(image)
    else:
        top = Dataset()
        own = {number: _planes(image, number, wanted) for number in told}
    shared = Dataset()
    for keyword in ("PixelMeasuresSequence", "PlaneOrientationSequence"):
        values = [groups.get(keyword) for groups in own.values()]
        if values[0] and all(value == values[0] for value in values):
            setattr(shared, keyword, values[0])
            for groups in own.values():
                delattr(groups, keyword)
    return Geometry(top=top, shared=shared, frames=[deepcopy(own[number]) for number in numbers])


def slide_geometry(
    image: SourceImage, tiling: Tiling, corners: Sequence[tuple[int, int]], wanted: SegGeometry
) -> Geometry:
    """Return the geometry of tiles of the total pixel matrix that begin at these rows and columns, from 0.

    Tiles have positions on the slide in any case; where a careless image says no origin or orientation, they are counted
    from zero. An orientation in the patient no such image says, so the placeholder stands for it where it is wanted: with
    it OHIF draws each tile on its own, without it the SEG is never loaded.
    """
    shared = _planes(image, 1, wanted)
    measures = shared.get("PixelMeasuresSequence")
    spacing = [float(value) for value in measures[0].PixelSpacing] if measures else list(PLACEHOLDER_SPACING)
    top = _frame_of_reference(image) if _has_frame_of_reference(image) else Dataset()
    top.TotalPixelMatrixRows, top.TotalPixelMatrixColumns = tiling.rows, tiling.columns
    cosines = _numbers(image.dataset, "ImageOrientationSlide", 6) or list(PLACEHOLDER_SLIDE)
    top.ImageOrientationSlide = _decimal(cosines)
    said = (image.dataset.get("TotalPixelMatrixOriginSequence") or [Dataset()])[0]
    x, y = ((_numbers(said, f"{axis}OffsetInSlideCoordinateSystem", 1) or [0.0])[0] for axis in "XY")
    origin = Dataset()
    origin.XOffsetInSlideCoordinateSystem, origin.YOffsetInSlideCoordinateSystem = _decimal([x, y])
    top.TotalPixelMatrixOriginSequence = [origin]
    frames = []
    for row, column in corners:
        groups = Dataset()
        groups.PlanePositionSlideSequence = compute_plane_position_tiled_full(
            row // tiling.tile_rows + 1, column // tiling.tile_columns + 1, x, y, tiling.tile_rows, tiling.tile_columns,
            cosines, spacing,
        )  # fmt: skip
        frames.append(groups)
    return Geometry(top=top, shared=shared, frames=frames)


def _own_planes(image: SourceImage, number: int) -> Dataset:
    """Return what the image says of a frame where it says all: spacing, orientation and position in the patient."""
    measures, orientation, position = (
        functional_group(image.dataset, number, keyword) or image.dataset
        for keyword in ("PixelMeasuresSequence", "PlaneOrientationSequence", "PlanePositionSequence")
    )
    spacing, origin = _numbers(measures, "PixelSpacing", 2), _numbers(position, "ImagePositionPatient", 3)
    cosines = _numbers(orientation, "ImageOrientationPatient", 6)
    if spacing is None or origin is None or cosines is None:
        return Dataset()
    groups = _groups(spacing, _depths(measures), cosines)
    item = Dataset()
    item.ImagePositionPatient = _decimal(origin)
    groups.PlanePositionSequence = [item]
    return groups


def _planes(image: SourceImage, number: int, wanted: SegGeometry) -> Dataset:
    """Return true spacing and own orientation of a frame; where one is not known, the placeholder if it is wanted."""
    true = image.spacing(number)
    spacing = [true.row, true.column] if true else None
    measures = functional_group(image.dataset, number, "PixelMeasuresSequence")
    depths = _depths(measures) if true and measures is not None else {}
    orientation = image.plane_orientation(number)
    cosines = list(orientation) if orientation else None
    if wanted is SegGeometry.PLACEHOLDER:
        spacing = spacing or list(PLACEHOLDER_SPACING)
        cosines = cosines or list(PLACEHOLDER_ORIENTATION)
    return _groups(spacing, depths, cosines)


def _groups(spacing: list[float] | None, depths: dict[str, float], cosines: list[float] | None) -> Dataset:
    groups = Dataset()
    if spacing is not None:
        measures = Dataset()
        measures.PixelSpacing = _decimal(spacing)
        # highdicom does not open a SEG whose Pixel Measures name no thickness, so a photograph's is a placeholder in any case
        for keyword, value in (depths or {"SliceThickness": PLACEHOLDER_THICKNESS}).items():
            setattr(measures, keyword, _decimal([value])[0])
        groups.PixelMeasuresSequence = [measures]
    if cosines is not None:
        orientation = Dataset()
        orientation.ImageOrientationPatient = _decimal(cosines)
        groups.PlaneOrientationSequence = [orientation]
    return groups


def _has_frame_of_reference(image: SourceImage) -> bool:
    return is_legal_uid(str(image.dataset.get("FrameOfReferenceUID") or ""))


def _frame_of_reference(image: SourceImage) -> Dataset:
    top = Dataset()
    top.FrameOfReferenceUID = image.dataset.FrameOfReferenceUID
    top.PositionReferenceIndicator = str(image.dataset.get("PositionReferenceIndicator") or "")[:64]
    return top


def _depths(measures: Dataset) -> dict[str, float]:
    found = {keyword: _numbers(measures, keyword, 1) for keyword in _DEPTHS}
    return {keyword: value[0] for keyword, value in found.items() if value}


def _numbers(item: Dataset, keyword: str, count: int) -> list[float] | None:
    """Return the numbers of an attribute, None where it has not that many."""
    value = item.get(keyword)
    if value is None or value == "":
        return None
    try:
        numbers = [float(one) for one in (value if count > 1 else [value])]
    except (TypeError, ValueError):
        return None
    return numbers if len(numbers) == count and all(math.isfinite(one) for one in numbers) else None


def _decimal(numbers: Sequence[float]) -> list[DSfloat]:
    """Return numbers as decimal strings of at most 16 characters."""
    return [DSfloat(one, auto_format=True) for one in numbers]

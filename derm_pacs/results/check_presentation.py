"""The last look at presentation states: the graphic is the mask's contour, inside the image, and the words are the call's."""

from collections.abc import Iterator, Sequence

import numpy as np
from pydicom import Dataset

from derm_pacs.domain.codes import code
from derm_pacs.domain.findings import Mask
from derm_pacs.domain.operating_point import call
from derm_pacs.results.arrange import Arrangement, Frame
from derm_pacs.results.contour import outline
from derm_pacs.results.presentation import presented
from derm_pacs.results.sr_overlay import outlined_regions
from derm_pacs.results.wording import RESEARCH_USE

TOLERANCE = 0.01
"""Pixels: coordinates are written with single precision."""


def presentation_faults(states: Sequence[Dataset], arrangement: Arrangement) -> Iterator[str]:
    """Yield what differs between the presentation states and the findings."""
    shown = {_source_of(one): one for one in states}
    expected = {(frame.image.uid, frame.number): frame for frame in presented(arrangement)}
    if set(shown) != set(expected) or len(states) != len(expected):
        yield "the presentation states are not those of the colour frames with an outlined lesion"
        return
    for key, frame in expected.items():
        yield from (f"the presentation state of {key[0]} frame {key[1]} {fault}" for fault in _faults(shown[key], frame))


def _faults(state: Dataset, frame: Frame) -> Iterator[str]:
    annotation = state.GraphicAnnotationSequence[0]
    if [layer.GraphicLayer for layer in state.GraphicLayerSequence] != [annotation.GraphicLayer]:
        yield "has not one layer of its own"
    graphics = annotation.get("GraphicObjectSequence") or []
    regions = outlined_regions(frame)
    if len(graphics) != len(regions):
        yield f"has {len(graphics)} contours for {len(regions)} outlined lesions"
        return
    for graphic, region in zip(graphics, regions, strict=True):
        yield from _contour_faults(graphic, region.segmentation.mask)
    said = " ".join(str(one.UnformattedTextValue) for one in annotation.get("TextObjectSequence") or [])
    if RESEARCH_USE.rstrip(".") not in said:
        yield "does not say research use, not for primary diagnosis"
    for one in frame.classified:
        concepts = {each.class_id: code(each.concept).meaning for each in one.classification.probabilities}
        if any(concepts[call(one.classification, point)] not in said for point in one.points):
            yield "does not say the call"


def _contour_faults(graphic: Dataset, mask: Mask) -> Iterator[str]:
    if (graphic.GraphicType, graphic.GraphicAnnotationUnits) != ("POLYLINE", "PIXEL"):
        yield "draws no polyline in pixels"
        return
    points = np.array(graphic.GraphicData, dtype=np.float64).reshape(-1, 2)
    rows, columns = mask.shape
    if points.min() < 0 or points[:, 0].max() > columns or points[:, 1].max() > rows:
        yield "draws outside the image"
        return
    expected = outline(mask)
    if points.shape != expected.shape or not np.allclose(points, expected, rtol=0, atol=TOLERANCE):
        yield "draws another contour than the mask's"


def _source_of(state: Dataset) -> tuple[str, int]:
    item = state.GraphicAnnotationSequence[0].ReferencedImageSequence[0]
    return str(item.ReferencedSOPInstanceUID), int(item.get("ReferencedFrameNumber") or 1)

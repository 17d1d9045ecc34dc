"""Are the figures of the composed objects those of the findings? Compared after reading them back from the bytes."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from pydicom import Dataset

from derm_pacs.domain.codes import code, probability_name
from derm_pacs.results import readback
from derm_pacs.results.arrange import Arrangement, Frame, Region
from derm_pacs.results.check_content import range_faults
from derm_pacs.results.check_expected import differences, frame_expectations, lesion_expectations
from derm_pacs.results.check_seg import places
from derm_pacs.results.contour import outline
from derm_pacs.results.readback import CodeKey, ReadGroup, key_of
from derm_pacs.results.sr_overlay import MOST_FIGURES, drawn_regions, figures

PERCENT_TOLERANCE = 0.0501
"""Half of the one written decimal of an overlay's figure."""
CONTOUR_TOLERANCE = 0.01
"""In pixels: a contour is written with two decimals as 32-bit floating point."""


def overlay_faults(overlays: Sequence[Dataset], arrangement: Arrangement) -> Iterator[str]:
    """Yield what differs between contours with their figures and the findings, in both directions."""
    outlined = [(frame, region) for frame in arrangement.frames for region in drawn_regions(frame)]
    read = [group for overlay in overlays for group in readback.groups_of(overlay)]
    yield from range_faults(read, arrangement)
    if len(read) != len(outlined):
        yield f"{len(read)} outlines for {len(outlined)} outlined lesions"
        return
    for group, (frame, region) in zip(read, outlined, strict=True):
        yield from _outline_faults(group, frame, region)
        yield from _overlay_number_faults(group, frame, region)


def _outline_faults(group: ReadGroup, frame: Frame, region: Region) -> Iterator[str]:
    label = frame.lesion.label
    if group.images != ((frame.image.uid, frame.number),):
        yield f"the outline of {label} refers to another image or frame"
    if group.finding != key_of(region.segmentation.concept):
        yield f"the outline of {label} names another finding"
    drawn, outlined = np.array(group.points), outline(region.segmentation.mask)
    if drawn.shape != outlined.shape or not np.allclose(drawn, outlined, atol=CONTOUR_TOLERANCE):
        yield f"the outline of {label} is not that of the mask"


def _overlay_number_faults(group: ReadGroup, frame: Frame, region: Region) -> Iterator[str]:
    label = frame.lesion.label
    expected = [(one.name.value, one.name.scheme) for one in figures(frame, region)]
    if [number.name for number in group.numbers] != expected or len(expected) > MOST_FIGURES:
        yield f"the figures beside {label} are not the {len(expected)} that belong there"
    for number in group.numbers:
        if number.value == 0.0 or number.unit != "%":
            yield f"the figure {number.meaning} of {label} is zero or not in per cent"
        elif not any(_near(number.value, 100 * value, PERCENT_TOLERANCE) for value in _overlay_values(number.name, frame, region)):
            yield f"the figure {number.meaning} of {label} is not the finding's"


def report_faults(report: Dataset, segs: Mapping[str, Dataset], arrangement: Arrangement) -> Iterator[str]:
    """Yield what differs between the report's groups and the findings, in both directions."""
    read = readback.groups_of(report)
    yield from range_faults(read, arrangement)
    expected = [
        *(one for told in arrangement.lesions for one in lesion_expectations(told)),
        *(one for frame in arrangement.frames for one in frame_expectations(frame)),
    ]
    if len(read) != len(expected):
        yield f"the report has {len(read)} groups for {len(expected)} findings"
        return
    held = places(segs, arrangement)
    for group, want in zip(read, expected, strict=True):
        for fault in differences(group, want):
            yield f"the report's group {want.what} does not say what was found: {fault}"
        wanted = held.get((*group.images[0], want.segment - 1)) if want.segment is not None else None
        if group.seg != wanted:
            yield f"the report's group {want.what} refers to another segment"


def _overlay_values(name: CodeKey, frame: Frame, region: Region) -> Iterator[float]:
    if name == key_of("lesion_area"):
        yield np.count_nonzero(region.segmentation.mask) / region.segmentation.mask.size
    for one in frame.classified:
        for each in one.classification.probabilities:
            row = probability_name(code(each.concept))
            if name == (row.value, row.scheme):
                yield each.probability


def _near(one: float, two: float, tolerance: float) -> bool:
    return abs(one - two) <= tolerance

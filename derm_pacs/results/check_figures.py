"""Are the figures of the composed objects those of the findings? Compared after reading them back from the bytes."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.pixels.utils import unpack_bits

from derm_pacs.domain.codes import PRIVATE_SCHEME, code, probability_name
from derm_pacs.domain.operating_point import call
from derm_pacs.domain.reasons import REASONS
from derm_pacs.results import readback
from derm_pacs.results.arrange import SKIN, Arrangement, Frame, Region
from derm_pacs.results.readback import CodeKey, ReadGroup

PROBABILITY_TOLERANCE = 6e-7
"""Half of the last of six written decimals."""
PERCENT_TOLERANCE = 0.0501
"""Half of the one written decimal of an overlay's figure."""
RELATIVE_TOLERANCE = 6e-6
"""Half of the last of six written significant digits."""


def seg_faults(segs: Sequence[Dataset], arrangement: Arrangement) -> Iterator[str]:
    """Yield what differs between the SEGs' pixels and the masks."""
    stored = {_source_of(seg): seg for seg in segs}
    expected = {(frame.image.uid, frame.number): frame for frame in arrangement.frames if frame.found}
    if set(stored) != set(expected):
        yield "the SEGs are not those of the frames with a mask"
        return
    for key, frame in expected.items():
        pixels = _unpacked(stored[key])
        masks = [region.segmentation.mask for region in frame.found]
        if pixels.shape != (len(masks), frame.image.rows, frame.image.columns) or not np.array_equal(pixels, masks):
            yield f"the SEG of {key[0]} frame {key[1]} does not hold the masks"


def overlay_faults(overlays: Sequence[bytes], arrangement: Arrangement) -> Iterator[str]:
    """Yield what differs between the figures beside the contours and the findings."""
    outlined = [
        (frame, region) for frame in arrangement.frames for region in frame.found if region.segmentation.concept != SKIN
    ]
    read = [group for data in overlays for group in readback.groups(data)]
    if len(read) != len(outlined):
        yield f"{len(read)} outlines for {len(outlined)} outlined lesions"
        return
    for group, (frame, region) in zip(read, outlined, strict=True):
        if (group.image_uid, group.frame) != (frame.image.uid, frame.number):
            yield f"the outline of {frame.lesion.label} refers to another image or frame"
        for number in group.numbers:
            if number.value == 0.0 or number.unit != "%":
                yield f"the figure {number.meaning} of {frame.lesion.label} is zero or not in per cent"
            elif not any(_near(number.value, 100 * value, PERCENT_TOLERANCE) for value in _overlay_values(number.name, frame, region)):
                yield f"the figure {number.meaning} of {frame.lesion.label} is not the finding's"


def report_faults(report: bytes, segs: Mapping[str, Dataset], arrangement: Arrangement) -> Iterator[str]:
    """Yield what differs between the report's groups and the findings, in both directions."""
    read = readback.groups(report)
    expected = [expectation for frame in arrangement.frames for expectation in _expectations(frame)]
    if len(read) != len(expected):
        yield f"the report has {len(read)} groups for {len(expected)} findings"
        return
    for group, want in zip(read, expected, strict=True):
        if not _meets(group, want):
            yield f"the report's group {want.what} does not say what was found"
        if group.seg is not None and group.seg[0] not in segs:
            yield f"the report's group {want.what} refers to no SEG of this composition"


class _Expected:
    """What a group of the report must say."""

    def __init__(
        self, what: str, frame: Frame, finding: str, numbers: list[tuple[str, float, str]], evaluations: list[tuple[CodeKey, CodeKey]]
    ) -> None:
        self.what, self.frame, self.finding = what, frame, _key(finding)
        self.numbers, self.evaluations = numbers, evaluations


def _expectations(frame: Frame) -> Iterator[_Expected]:
    for one in frame.classified:
        concepts = {each.class_id: each.concept for each in one.classification.probabilities}
        for each in one.classification.probabilities:
            points = [point for point in one.points if point.positive == each.class_id]
            yield _Expected(
                f"{each.concept} of {frame.lesion.label}", frame, each.concept,
                [("probability", each.probability, "1"), *(("threshold_value", point.threshold, "1") for point in points)],
                [(_key("classifier_call"), _key(concepts[call(one.classification, point)])) for point in points],
            )
    for region in frame.regions:
        if not region.measures.pixels:
            unit = "mm2" if region.measures.spacing else "{pixels}"
            yield _Expected(f"nothing found on {frame.lesion.label}", frame, region.segmentation.concept, [("area", 0.0, unit)], [])
    for region in frame.found:
        yield _Expected(f"region of {frame.lesion.label}", frame, region.segmentation.concept, _region_numbers(region), [])
    for refused in frame.refused:
        dicom_code = REASONS[refused.refusal.reason].dicom_code
        because = (dicom_code, PRIVATE_SCHEME) if dicom_code else _key("other_reason")
        yield _Expected(
            f"refusal of {frame.lesion.label}", frame, "image_quality", [], [(_key("not_analysed_because"), because)]
        )


def _region_numbers(region: Region) -> list[tuple[str, float, str]]:
    mask, spacing = region.segmentation.mask, region.measures.spacing
    pixels = int(np.count_nonzero(mask))
    area = ("area", pixels * spacing.row * spacing.column, "mm2") if spacing else ("area", float(pixels), "{pixels}")
    return [area, ("share_of_image", 100 * pixels / mask.size, "%")]


def _meets(group: ReadGroup, want: _Expected) -> bool:
    frame = want.frame
    return (
        group.finding == want.finding
        and (group.image_uid, group.frame) == (frame.image.uid, frame.number)
        and (frame.image.tracking is None or group.tracking_uid == frame.image.tracking.uid or want.finding == _key(SKIN))
        and all(_says(group, *number) for number in want.numbers)
        and not Counter(want.evaluations) - Counter(group.evaluations)
    )


def _says(group: ReadGroup, name: str, value: float, unit: str) -> bool:
    tolerance = PROBABILITY_TOLERANCE if unit == "1" else max(1e-12, abs(value) * RELATIVE_TOLERANCE)
    return any(
        one.name == _key(name) and one.unit == unit and _near(one.value, value, tolerance) for one in group.numbers
    )


def _overlay_values(name: CodeKey, frame: Frame, region: Region) -> Iterator[float]:
    if name == _key("lesion_area"):
        yield np.count_nonzero(region.segmentation.mask) / region.segmentation.mask.size
    for one in frame.classified:
        for each in one.classification.probabilities:
            row = probability_name(code(each.concept))
            if name == (row.value, row.scheme):
                yield each.probability


def _unpacked(seg: Dataset) -> NDArray[np.uint8]:
    frames, rows, columns = int(seg.NumberOfFrames), int(seg.Rows), int(seg.Columns)
    bits = np.asarray(unpack_bits(seg.PixelData))[: frames * rows * columns]
    return bits.reshape(frames, rows, columns)


def _source_of(seg: Dataset) -> tuple[str, int]:
    item = seg.SourceImageSequence[0]
    return str(item.ReferencedSOPInstanceUID), int(item.get("ReferencedFrameNumber") or 1)


def _key(name: str) -> CodeKey:
    row = code(name)
    return row.value, row.scheme


def _near(one: float, two: float, tolerance: float) -> bool:
    return abs(one - two) <= tolerance

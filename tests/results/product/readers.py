"""What three independent readers find in the objects, and what they must find: figures, masks, names, pictures."""

import io
from collections.abc import Iterator
from functools import cache
from typing import Any

import highdicom
import numpy as np
import pydicom
from pydicom import Dataset
from scipy import ndimage  # type: ignore[import-untyped]

from derm_pacs.domain.composed import Composed, Form
from derm_pacs.domain.findings import Classification, Mask, Segmentation
from tests.results.product.axes import PIXEL
from tests.results.product.judges import REPORTS, SENDERS_OWN, Tools, groups_by_tid1500reader
from tests.results.product.told import Case

Figure = tuple[str, str, float, str]
"""Code values of the finding and of the quantity, the value, the unit's code value."""

Place = tuple[int, str]
"""Frame of the source, and the code value of what the segment shows."""

PROBABILITY, THRESHOLD, AREA, DIAMETER, SHARE = "122157", "122411", "42798000", "81827009", "SHARE-OF-IMAGE"
FINDINGS = {
    "melanoma": "372244006", "melanocytic_nevus": "400096001", "basal_cell_carcinoma": "254701007",
    "skin_lesion": "95324001", "skin": "39937001",
}  # fmt: skip
CODES = FINDINGS | {
    "squamous_cell_carcinoma": "402815007", "actinic_keratosis": "201101007", "seborrheic_keratosis": "25499005",
    "dermatofibroma": "448015002", "hemangioma_of_skin": "93471006", "lichen_planus": "4776004", "rosacea": "398909004",
    "viral_wart": "57019003", "acne": "11381005", "keloid": "33659008", "eczema": "43116000",
}  # fmt: skip
"""By section 5 of the project's notes on DICOM, not by the product's table."""


def expected(case: Case) -> list[Figure]:
    """Return the figures that the report must hold for each frame."""
    true = PIXEL.get(case.combination.spacing)
    row, column = true or (1.0, 1.0)
    area_unit, length_unit = ("mm2", "mm") if true else ("{pixels}", "{pixels}")
    figures: list[Figure] = []
    thresholds = {point.positive: point.threshold for run in case.findings.runs for point in run.operating_points}
    for outcome in (outcome for finding in case.findings.findings for outcome in finding.outcomes):
        if isinstance(outcome, Classification):
            for one in outcome.probabilities:
                figures.append((CODES[one.concept], PROBABILITY, one.probability, "1"))
                if one.class_id in thresholds:
                    figures.append((CODES[one.concept], THRESHOLD, thresholds[one.class_id], "1"))
        elif isinstance(outcome, Segmentation):
            pixels, finding = int(outcome.mask.sum()), CODES[outcome.concept]
            figures.append((finding, AREA, pixels * row * column, area_unit))
            if pixels:
                widest = _diameter(outcome.mask.tobytes(), outcome.mask.shape, row, column)
                figures.append((finding, DIAMETER, widest, length_unit))
                figures.append((finding, SHARE, 100 * pixels / outcome.mask.size, "%"))
    return figures


@cache
def _diameter(mask: bytes, shape: tuple[int, int], row: float, column: float) -> float:
    """Return the greatest distance between two corners of inside pixels that join, by trying all at the edges of each row."""
    labels, parts = ndimage.label(np.frombuffer(mask, bool).reshape(shape), np.ones((3, 3)))
    return max(_diameter_of_part(labels == part, row, column) for part in range(1, parts + 1))


def _diameter_of_part(inside: Mask, row: float, column: float) -> float:
    corners = [
        (line + down, edge)
        for line in np.flatnonzero(inside.any(axis=1))
        for edge in (inside[line].argmax(), inside.shape[1] - inside[line, ::-1].argmax())
        for down in (0, 1)
    ]
    points = np.array(corners) * (row, column)
    return float(np.hypot(*(points[:, None] - points[None]).transpose(2, 0, 1)).max())


def figure_faults(case: Case, tools: Tools) -> Iterator[str]:
    """Yield what each reader of the report finds otherwise than it was said, and what it finds that nobody said."""
    (report,) = case.of(Form.REPORT_SR)
    readings = {
        "tid1500reader": list(_by_tid1500reader(case, tools)),
        "highdicom": list(_by_highdicom(report)),
        "pydicom": list(_by_pydicom(report)),
    }
    for reader, read in readings.items():
        left = list(read)
        for want in expected(case):
            found = next((one for one in left if _same(one, want)), None)
            if found is None:
                yield f"{reader} does not find {want}"
            else:
                left.remove(found)
        # what a lesion's frames say together is said once more; here all frames say the same
        for one in left:
            if one[1] in (PROBABILITY, THRESHOLD, AREA, SHARE) and not any(_same(one, want) for want in expected(case)):
                yield f"{reader} finds {one}, which nobody said"


def _same(one: Figure, two: Figure) -> bool:
    tolerance = max(6e-7, abs(two[2]) * 6e-6)  # six decimals of a probability, six digits of the rest are written
    return (one[0], one[1], one[3]) == (two[0], two[1], two[3]) and abs(one[2] - two[2]) <= tolerance


def _by_tid1500reader(case: Case, tools: Tools) -> Iterator[Figure]:
    for group in groups_by_tid1500reader(case, tools):
        for item in group.get("measurementItems", []):
            yield (
                group["Finding"]["CodeValue"], item["quantity"]["CodeValue"], float(item["value"]), item["units"]["CodeValue"],
            )  # fmt: skip


def _by_highdicom(report: Composed) -> Iterator[Figure]:
    content: Any = highdicom.sr.srread(io.BytesIO(report.data)).content
    groups = [*content.get_image_measurement_groups(), *content.get_planar_roi_measurement_groups()]
    for group in groups:
        finding = group.finding_type.value if group.finding_type else ""
        for one in group.get_measurements():
            yield finding, one.name.value, float(one.value), one.unit.value


def _by_pydicom(report: Composed) -> Iterator[Figure]:
    def walk(item: Dataset, finding: str) -> Iterator[Figure]:
        inside = item.get("ContentSequence") or []
        for child in inside:
            if child.ValueType == "CODE" and child.ConceptNameCodeSequence[0].CodeValue == "121071":
                finding = child.ConceptCodeSequence[0].CodeValue
        for child in inside:
            if child.ValueType == "NUM":
                measured = child.MeasuredValueSequence[0]
                unit = measured.MeasurementUnitsCodeSequence[0].CodeValue
                yield finding, child.ConceptNameCodeSequence[0].CodeValue, float(measured.NumericValue), unit
            yield from walk(child, finding)

    yield from walk(read(report), "")


def mask_faults(case: Case) -> Iterator[str]:
    """Yield what highdicom and pydicom read from the SEGs otherwise than it was said."""
    wanted = {
        (finding.frame, CODES[outcome.concept]): outcome.mask
        for finding in case.findings.findings
        for outcome in finding.outcomes
        if isinstance(outcome, Segmentation) and outcome.mask.any()
    }
    for reader, read_masks in (("pydicom", _masks_by_pydicom), ("highdicom", _masks_by_highdicom)):
        got: dict[Place, Mask] = {}
        for seg in case.of(Form.SEG):
            got |= read_masks(seg)
        if set(got) != set(wanted):
            yield f"{reader} finds the segments {sorted(got)}, said were {sorted(wanted)}"
        for place in set(got) & set(wanted):
            if not np.array_equal(got[place], wanted[place]):
                yield f"{reader} finds another mask of {place[1]} in frame {place[0]}"


def _segments(seg: Dataset) -> dict[int, str]:
    """Return the code value of each segment's type; a label map's background is number 0."""
    return {
        int(one.SegmentNumber): one.SegmentedPropertyTypeCodeSequence[0].CodeValue
        for one in seg.SegmentSequence
        if int(one.SegmentNumber) > 0
    }


def _masks_by_pydicom(one: Composed) -> dict[Place, Mask]:
    seg = read(one)
    pixels = seg.pixel_array.reshape(-1, seg.Rows, seg.Columns)
    tiled = "TotalPixelMatrixRows" in seg
    shape = (seg.TotalPixelMatrixRows, seg.TotalPixelMatrixColumns) if tiled else (seg.Rows, seg.Columns)
    masks: dict[Place, Mask] = {}
    for frame, groups in zip(pixels, seg.PerFrameFunctionalGroupsSequence, strict=True):
        source = groups.DerivationImageSequence[0].SourceImageSequence[0]
        number = 1 if tiled else int(source.get("ReferencedFrameNumber") or 1)
        row = column = 0
        if tiled:
            place = groups.PlanePositionSlideSequence[0]
            row, column = place.RowPositionInTotalImagePixelMatrix - 1, place.ColumnPositionInTotalImagePixelMatrix - 1
        for segment, concept in _segments(seg).items():
            inside = frame == segment
            if seg.SegmentationType != "LABELMAP":
                mine = groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber == segment
                inside = (frame > 0) & mine
            if inside.any():
                whole = masks.setdefault((number, concept), np.zeros(shape, bool))
                part = whole[row : row + seg.Rows, column : column + seg.Columns]
                part |= inside[: part.shape[0], : part.shape[1]]
    return masks


def _masks_by_highdicom(one: Composed) -> dict[Place, Mask]:
    seg: Any = highdicom.seg.segread(io.BytesIO(one.data))
    numbers = _segments(seg)
    named = [groups.DerivationImageSequence[0].SourceImageSequence[0] for groups in seg.PerFrameFunctionalGroupsSequence]
    options: dict[str, Any] = {"segment_numbers": list(numbers), "ignore_spatial_locations": True}
    if "TotalPixelMatrixRows" in seg:
        stacks = {1: seg.get_total_pixel_matrix(segment_numbers=list(numbers))}
    elif any("ReferencedFrameNumber" in source for source in named):
        frames = sorted({int(source.ReferencedFrameNumber) for source in named})
        image = str(named[0].ReferencedSOPInstanceUID)
        read_back = seg.get_pixels_by_source_frame(image, frames, assert_missing_frames_are_empty=True, **options)
        stacks = dict(zip(frames, read_back, strict=True))
    else:
        stacks = {1: seg.get_pixels_by_source_instance([str(named[0].ReferencedSOPInstanceUID)], **options)[0]}
    return {
        (frame, concept): stack[..., index] > 0
        for frame, stack in stacks.items()
        for index, concept in enumerate(numbers.values())
        if stack[..., index].any()
    }


def name_faults(case: Case) -> Iterator[str]:
    """Yield where patient and study are not named as in the source, character by character."""
    source = pydicom.dcmread(io.BytesIO(case.source), stop_before_pixels=True)
    source.decode()
    for one in case.objects:
        mine = read(one)
        mine.decode()
        for keyword in (*SENDERS_OWN, "StudyInstanceUID", "AccessionNumber", "PatientBirthDate", "StudyDate"):
            theirs, ours = str(source.get(keyword) or ""), str(mine.get(keyword) or "")
            if theirs != ours:
                yield f"{one.form}: {keyword} is {ours!r}, in the source {theirs!r}"


def picture_faults(case: Case) -> Iterator[str]:
    """Yield what is wrong with pictures and documents, which must show and not only be there."""
    told = {finding.frame for finding in case.findings.findings}
    pictures = case.of(Form.PICTURE)
    if len(pictures) != len(told):
        yield f"{len(pictures)} pictures for {len(told)} frames"
    for one in pictures:
        picture = read(one)
        pixels = picture.pixel_array
        if pixels.shape != (picture.Rows, picture.Columns, 3) or picture.PhotometricInterpretation != "RGB":
            yield f"a picture of {pixels.shape} in {picture.PhotometricInterpretation}"
        if picture.BurnedInAnnotation != "YES" or len(np.unique(pixels)) < 8:
            yield "a picture without words"
    for one in case.of(Form.PDF):
        document = bytes(read(one).EncapsulatedDocument)
        if not document.startswith(b"%PDF-") or b"%%EOF" not in document[-16:]:
            yield "the document is no PDF"
    for one in case.of(Form.MESSAGE):
        if b"research use" not in one.data or any(byte < 32 and byte != 13 for byte in one.data):
            yield "the message does not say what it is for, or holds control characters"
    for one in case.of(*REPORTS):
        if "research use" not in str(read(one)):
            yield f"{one.form} does not say what it is for"


def read(one: Composed) -> Dataset:
    """Read an object back."""
    return pydicom.dcmread(io.BytesIO(one.data))

"""The full report SR: everything that was found, one group a statement, with a sentence that a person reads."""

from collections.abc import Mapping, Sequence

from highdicom.sr import (
    CodedConcept,
    Measurement,
    MeasurementsAndQualitativeEvaluations,
    PlanarROIMeasurementsAndQualitativeEvaluations,
    QualitativeEvaluation,
    ReferencedSegmentationFrame,
    RelationshipTypeValues,
    SourceImageForMeasurementGroup,
    SourceImageForSegmentation,
    TextContentItem,
    TrackingIdentifier,
)
from pydicom import Dataset

from derm_pacs.domain.codes import PRIVATE_SCHEME, Code, code
from derm_pacs.domain.composed import Composed, Form
from derm_pacs.domain.findings import ClassProbability
from derm_pacs.domain.operating_point import call
from derm_pacs.domain.reasons import REASONS
from derm_pacs.results import wording
from derm_pacs.results.arrange import Arrangement, Classified, Frame, Refused, Region
from derm_pacs.results.coded import concept
from derm_pacs.results.identity import Naming
from derm_pacs.results.image_library import image_library
from derm_pacs.results.measure import probability, significant
from derm_pacs.results.sr_document import Group, algorithm, document, finding_sites, report

QUALITY_REASONS = frozenset({"poor_quality_blur", "poor_quality_dark", "poor_quality_contrast", "too_small"})
"""Reasons that say that the picture is not good enough; only these are coded as insufficient image quality."""


def compose(arrangement: Arrangement, naming: Naming, segs: Mapping[tuple[str, int], Composed]) -> Composed:
    """Make the report SR; `segs` holds the SEG of each (SOP Instance UID, frame) that has one."""
    groups = [group for frame in arrangement.frames for group in _groups(frame, segs)]
    content = report(groups, "imaging_report", naming)
    root = content[0]
    measurements = root.ContentSequence.pop()
    root.ContentSequence.append(image_library(arrangement.images))
    root.ContentSequence.append(_comment(wording.preamble(arrangement)))
    root.ContentSequence.append(measurements)
    _separate(root)
    return document(
        content, Form.REPORT_SR, naming, arrangement=arrangement, images=arrangement.images, segs=list(segs.values())
    )


def _groups(frame: Frame, segs: Mapping[tuple[str, int], Composed]) -> list[Group]:
    groups = [_class_group(frame, one, each) for one in frame.classified for each in one.classification.probabilities]
    groups += [_nothing_found(frame, region) for region in frame.regions if not region.measures.pixels]
    for number, region in enumerate(frame.found, 1):
        groups.append(_region_group(frame, region, segs.get((frame.image.uid, frame.number)), number))
    return groups + [_refusal_group(frame, one) for one in frame.refused]


def _class_group(frame: Frame, one: Classified, each: ClassProbability) -> Group:
    points = [point for point in one.points if point.positive == each.class_id]
    measurements = [_number("probability", probability(each.probability), "no_units")]
    measurements += [_number("threshold_value", probability(point.threshold), "no_units") for point in points]
    concepts = {known.class_id: known.concept for known in one.classification.probabilities}
    calls = [concept(concepts[call(one.classification, point)]) for point in points]
    group = MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(uid=frame.lesion.tracking_uid, identifier=frame.lesion.tracking_id),
        finding_type=concept(each.concept),
        algorithm_id=algorithm(one.run, points),
        finding_sites=finding_sites(frame),
        measurements=measurements,
        qualitative_evaluations=[QualitativeEvaluation(concept("classifier_call"), value) for value in calls],
        source_images=[_source(frame)],
    )
    return _with_comment(group, wording.class_sentence(frame, one, each))


def _region_group(frame: Frame, region: Region, seg: Composed | None, segment: int) -> Group:
    """Return the group of a found region: TID 1410 with its segment, without SEG TID 1501 with its image."""
    if seg is None:
        return _plain_region_group(frame, region, _region_numbers(region))
    tracking_uid, tracking_id = frame.tracking(region)
    referenced = ReferencedSegmentationFrame(
        seg.sop_class_uid, seg.sop_instance_uid, frame_number=segment, segment_number=segment,
        source_image=SourceImageForSegmentation(frame.image.sop_class_uid, frame.image.uid, frame.reference),
    )
    _keep_one_number(referenced)
    group = PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(uid=tracking_uid, identifier=tracking_id),
        referenced_segment=referenced,
        finding_type=concept(region.segmentation.concept),
        algorithm_id=algorithm(region.run, [], region.segmentation.threshold),
        finding_sites=finding_sites(frame),
        measurements=_region_numbers(region),
    )
    return _with_comment(group, wording.region_sentence(frame, region))


def _nothing_found(frame: Frame, region: Region) -> Group:
    unit = "square_millimetre" if region.measures.spacing else "pixels"
    return _plain_region_group(frame, region, [_number("area", 0.0, unit)])


def _plain_region_group(frame: Frame, region: Region, measurements: Sequence[Measurement]) -> Group:
    tracking_uid, tracking_id = frame.tracking(region)
    group = MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(uid=tracking_uid, identifier=tracking_id),
        finding_type=concept(region.segmentation.concept),
        algorithm_id=algorithm(region.run, [], region.segmentation.threshold),
        finding_sites=finding_sites(frame),
        measurements=measurements,
        source_images=[_source(frame)],
    )
    return _with_comment(group, wording.region_sentence(frame, region))


def _refusal_group(frame: Frame, one: Refused) -> Group:
    reason = REASONS[one.refusal.reason]
    because = code("other_reason") if reason.dicom_code is None else Code(
        name=reason.code, value=reason.dicom_code, scheme=PRIVATE_SCHEME,
        meaning=reason.sentence.rstrip(".")[:64], source="own",
    )
    said = [QualitativeEvaluation(concept("not_analysed_because"), concept(because))]
    if reason.code in QUALITY_REASONS:
        said.append(QualitativeEvaluation(concept("image_quality"), concept("insufficient_quality")))
    group = MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(uid=frame.lesion.tracking_uid, identifier=frame.lesion.tracking_id),
        finding_type=concept("image_quality"),
        algorithm_id=algorithm(one.run, one.run.operating_points) if one.run else None,
        finding_sites=finding_sites(frame),
        qualitative_evaluations=said,
        source_images=[_source(frame)],
    )
    return _with_comment(group, wording.refusal_sentence(frame, one))


def _region_numbers(region: Region) -> list[Measurement]:
    measures = region.measures
    area_unit, length_unit = ("square_millimetre", "millimetre") if measures.spacing else ("pixels", "pixels")
    return [
        _number("area", measures.area, area_unit),
        _number("diameter", measures.diameter, length_unit, derivation=concept("maximum")),
        _number("share_of_image", significant(100 * measures.share), "percent"),
    ]


def _number(name: str, value: float, unit: str, derivation: CodedConcept | None = None) -> Measurement:
    return Measurement(name=concept(name), value=value, unit=concept(unit), derivation=derivation)


def _source(frame: Frame) -> SourceImageForMeasurementGroup:
    return SourceImageForMeasurementGroup(frame.image.sop_class_uid, frame.image.uid, frame.reference)


def _keep_one_number(referenced: Sequence[Dataset]) -> None:
    """Delete Referenced Segment Number beside Referenced Frame Number: each is there only without the other (table 10-3)."""
    for item in referenced:
        for reference in item.get("ReferencedSOPSequence") or []:
            if "ReferencedSegmentNumber" in reference and "ReferencedFrameNumber" in reference:
                del reference.ReferencedSegmentNumber


def _with_comment(group: Group, sentence: str) -> Group:
    group[0].ContentSequence.append(_comment(sentence))
    return group


def _comment(text: str) -> TextContentItem:
    return TextContentItem(name=concept("comment"), value=text, relationship_type=RelationshipTypeValues.CONTAINS)


def _separate(container: Dataset) -> None:
    """Write Continuity of Content SEPARATE: with CONTINUOUS, viewers print values without their names."""
    if container.ValueType == "CONTAINER":
        container.ContinuityOfContent = "SEPARATE"
        for item in container.get("ContentSequence") or []:
            _separate(item)

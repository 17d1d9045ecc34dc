"""The full report SR: everything that was found, one group a statement, with a sentence that a person reads.

First the summary, then lesion by lesion what its images say together and what changed, then image by image.
"""

from collections.abc import Mapping, Sequence

from highdicom.sr import (
    ContentItem,
    Measurement,
    MeasurementsAndQualitativeEvaluations,
    PlanarROIMeasurementsAndQualitativeEvaluations,
    QualitativeEvaluation,
    ReferencedSegmentationFrame,
    RelationshipTypeValues,
    SourceImageForSegmentation,
    TrackingIdentifier,
    UIDRefContentItem,
)
from pydicom import Dataset

from derm_pacs.domain.codes import PRIVATE_SCHEME, Code, code
from derm_pacs.domain.composed import Composed, Form
from derm_pacs.domain.identifiers import is_legal_uid
from derm_pacs.domain.reasons import REASONS
from derm_pacs.results import wording
from derm_pacs.results.arrange import Arrangement, Classified, Frame, Refused, Region
from derm_pacs.results.coded import concept
from derm_pacs.results.identity import Naming
from derm_pacs.results.image_library import image_library
from derm_pacs.results.measure import significant
from derm_pacs.results.seg import RegionKey, SegPlace
from derm_pacs.results.sr_class import Judged, class_groups
from derm_pacs.results.sr_document import (
    Group,
    algorithm,
    commented,
    document,
    finding_sites,
    number,
    report,
    sources,
    text,
)
from derm_pacs.results.sr_lesion import lesion_groups

QUALITY_REASONS = frozenset({"poor_quality_blur", "poor_quality_dark", "poor_quality_bright", "poor_quality_contrast", "too_small"})
"""Reasons that say that the picture is not good enough; only these are coded as insufficient image quality."""


def compose(arrangement: Arrangement, naming: Naming, places: Mapping[RegionKey, SegPlace]) -> Composed:
    """Make the report SR; `places` says where each found region's mask is, and is empty without SEG."""
    groups = [group for told in arrangement.lesions for group in lesion_groups(told)]
    groups += [group for frame in arrangement.frames for group in _groups(frame, places)]
    content = report(groups, "imaging_report", naming, arrangement.images)
    root = content[0]
    measurements = root.ContentSequence.pop()
    root.ContentSequence.append(text("summary", wording.preamble(arrangement)))
    for item in _unreadable(arrangement):
        root.ContentSequence.append(item)
    root.ContentSequence.append(image_library(arrangement.images))
    root.ContentSequence.append(measurements)
    _separate(root)
    return document(
        content, Form.REPORT_SR, naming, arrangement=arrangement, images=arrangement.images,
        segs=list({one.seg.sop_instance_uid: one.seg for one in places.values()}.values()),
        priors=list({
            told.earlier.report.sop_instance_uid: told.earlier.report for told in arrangement.lesions if told.earlier
        }.values()),
    )


def _unreadable(arrangement: Arrangement) -> list[ContentItem]:
    """Return the names of the study's objects that cannot be read; what is no UID stands in the summary alone."""
    return [
        UIDRefContentItem(name=concept("unreadable_object"), value=uid, relationship_type=RelationshipTypeValues.CONTAINS)
        for uid in arrangement.unreadable
        if is_legal_uid(uid)
    ]


def _groups(frame: Frame, places: Mapping[RegionKey, SegPlace]) -> list[Group]:
    groups = [group for one in frame.classified for group in class_groups(_judged(frame, one))]
    groups += [_nothing_found(frame, region) for region in frame.regions if not region.measures.pixels]
    for index, region in enumerate(frame.found):
        place = places.get((frame.image.uid, frame.number, index))
        groups.append(_region_group(frame, region, place) if place else _region_group_without_seg(frame, region))
    return groups + [_refusal_group(frame, one) for one in frame.refused]


def _judged(frame: Frame, one: Classified) -> Judged:
    return Judged(
        where=wording.where(frame, one.classification.region), lesion=frame.lesion_on(one.classification.region),
        frames=(frame,), run=one.run,
        classification=one.classification, points=one.points, rule=None,
    )


def _region_group(frame: Frame, region: Region, place: SegPlace) -> Group:
    """Return the TID 1410 group of a found region, which refers to its segment."""
    tracking_uid, tracking_id = frame.tracking(region)
    referenced = ReferencedSegmentationFrame(
        place.seg.sop_class_uid, place.seg.sop_instance_uid,
        frame_number=list(place.frames), segment_number=place.segment,
        source_image=SourceImageForSegmentation(frame.image.sop_class_uid, frame.image.uid, frame.reference),
    )
    _name_by_one_number(referenced, by_segment=frame.image.tiling is not None)
    group = PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(uid=tracking_uid, identifier=tracking_id),
        referenced_segment=referenced,
        finding_type=concept(region.segmentation.concept),
        algorithm_id=algorithm(region.run, [], region.segmentation.threshold),
        finding_sites=finding_sites([frame]),
        measurements=_region_numbers(region),
    )
    return commented(group, wording.region_sentence(frame, region))


def _nothing_found(frame: Frame, region: Region) -> Group:
    unit = "square_millimetre" if region.measures.spacing else "pixels"
    return _plain_region_group(frame, region, [number("area", 0.0, unit)])


def _region_group_without_seg(frame: Frame, region: Region) -> Group:
    return _plain_region_group(frame, region, _region_numbers(region))


def _plain_region_group(frame: Frame, region: Region, measurements: Sequence[Measurement]) -> Group:
    """Return the TID 1501 group of a region, which refers to its image alone."""
    tracking_uid, tracking_id = frame.tracking(region)
    group = MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(uid=tracking_uid, identifier=tracking_id),
        finding_type=concept(region.segmentation.concept),
        algorithm_id=algorithm(region.run, [], region.segmentation.threshold),
        finding_sites=finding_sites([frame]),
        measurements=measurements,
        source_images=sources([frame]),
    )
    return commented(group, wording.region_sentence(frame, region))


def _refusal_group(frame: Frame, one: Refused) -> Group:
    reason = REASONS[one.refusal.reason]
    because = code("other_reason") if reason.dicom_code is None else Code(
        name=reason.code, value=reason.dicom_code, scheme=PRIVATE_SCHEME,
        meaning=reason.sentence.rstrip(".")[:64], source="own",
    )
    said = [QualitativeEvaluation(concept("not_analysed_because"), concept(because))]
    if reason.code in QUALITY_REASONS:
        said.append(QualitativeEvaluation(concept("image_quality"), concept("insufficient_quality")))
    lesion = frame.lesion_on(one.refusal.region)
    group = MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(uid=lesion.tracking_uid, identifier=lesion.tracking_id),
        finding_type=concept("image_quality"),
        algorithm_id=algorithm(one.run, one.run.operating_points) if one.run else None,
        finding_sites=finding_sites([frame]),
        qualitative_evaluations=said,
        source_images=sources([frame]),
    )
    return commented(group, wording.refusal_sentence(frame, one))


def _region_numbers(region: Region) -> list[Measurement]:
    measures = region.measures
    area_unit, length_unit = ("square_millimetre", "millimetre") if measures.spacing else ("pixels", "pixels")
    return [
        number("area", measures.area, area_unit),
        number("diameter", measures.diameter, length_unit, derivation=concept("maximum")),
        number("perimeter", measures.perimeter, length_unit),
        number("share_of_image", significant(100 * measures.share), "percent"),
    ]


def _name_by_one_number(referenced: Sequence[Dataset], *, by_segment: bool) -> None:
    """Keep one of Referenced Frame Number and Referenced Segment Number: each is there only without the other (table 10-3).

    A frame of a SEG holds one segment, and readers expect the frame; only of a tiled image are there many.
    """
    unused = "ReferencedFrameNumber" if by_segment else "ReferencedSegmentNumber"
    for item in referenced:
        if item.name == concept("source_image_for_segmentation"):
            item.ConceptNameCodeSequence[0].CodeMeaning = code("source_image_for_segmentation").meaning
        for reference in item.get("ReferencedSOPSequence") or []:
            if "ReferencedSegmentNumber" in reference:
                del reference[unused]


def _separate(container: Dataset) -> None:
    """Write Continuity of Content SEPARATE: with CONTINUOUS, viewers print values without their names."""
    if container.ValueType == "CONTAINER":
        container.ContinuityOfContent = "SEPARATE"
        for item in container.get("ContentSequence") or []:
            _separate(item)

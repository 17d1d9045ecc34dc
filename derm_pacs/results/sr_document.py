"""What both structured reports have in common: observer, language, procedure, flags, evidence, predecessors."""

from collections.abc import Sequence
from copy import deepcopy

from highdicom.sr import (
    AlgorithmIdentification,
    CodedConcept,
    Comprehensive3DSR,
    ComprehensiveSR,
    DeviceObserverIdentifyingAttributes,
    FindingSite,
    LanguageOfContentItemAndDescendants,
    Measurement,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    ObservationContext,
    ObserverContext,
    PlanarROIMeasurementsAndQualitativeEvaluations,
    RelationshipTypeValues,
    SourceImageForMeasurementGroup,
    TextContentItem,
)
from pydicom import Dataset

from derm_pacs.domain.composed import Composed, Form, Reference
from derm_pacs.domain.edition import SrClass
from derm_pacs.domain.findings import OperatingPoint, Run
from derm_pacs.domain.marks import MANUFACTURER
from derm_pacs.results.arrange import Arrangement, Frame, place_of
from derm_pacs.results.coded import concept, private_scheme
from derm_pacs.results.header import finish, ours, stand_in
from derm_pacs.results.identity import PRODUCT_VERSION, Naming
from derm_pacs.results.source import SourceImage

Group = MeasurementsAndQualitativeEvaluations | PlanarROIMeasurementsAndQualitativeEvaluations

_CLASSES = {SrClass.COMPREHENSIVE_3D: Comprehensive3DSR, SrClass.COMPREHENSIVE: ComprehensiveSR}

IS_COMPLETE = True
"""Completion Flag COMPLETE: all that we have to say of the revision is in the document."""
IS_FINAL = False
"""Preliminary Flag PRELIMINARY: no person has looked at it; what is final a clinician says (PS3.3 C.17.2)."""
IS_VERIFIED = False
"""Verification Flag UNVERIFIED: only a person who answers for the content can verify it."""


_PROCEDURES = {
    "DMS": "dermoscopic_photography", "CFM": "confocal_microscopy", "GM": "microscopic_photography",
}
"""Rows of the code table by modality; whatever else comes is a photograph."""


def report(groups: Sequence[Group], title: str, naming: Naming, images: Sequence[SourceImage]) -> MeasurementReport:
    """Return the TID 1500 tree about these images; `title` names a row of the code table."""
    observer = DeviceObserverIdentifyingAttributes(
        uid=naming.identity.installation_uid,
        name=MANUFACTURER,
        manufacturer_name=MANUFACTURER,
        model_name=f"{MANUFACTURER} {PRODUCT_VERSION}",
    )
    return MeasurementReport(
        observation_context=ObservationContext(
            observer_device_context=ObserverContext(
                observer_type=concept("device"), observer_identifying_attributes=observer
            )
        ),
        procedure_reported=[concept(row) for row in sorted({_procedure(image) for image in images})],
        imaging_measurements=groups,
        title=concept(title),
        # TID 1204: codes' meanings, names and sentences are English whatever the language of the sender
        language_of_content_item_and_descendants=LanguageOfContentItemAndDescendants(concept("english")),
    )


def document(
    content: MeasurementReport, form: Form, naming: Naming, *, arrangement: Arrangement,
    images: Sequence[SourceImage], segs: Sequence[Composed] = (), priors: Sequence[Reference] = (), ordinal: int = 0,
) -> Composed:
    """Make the SR of the edition's class around a content tree that refers to these images, SEGs and earlier reports."""
    about = [image.uid for image in images]
    result = _CLASSES[naming.edition.sr](
        evidence=[
            *(stand_in(image) for image in images),
            *(_evidence(seg, images[0]) for seg in segs),
            *(_referenced(one) for one in priors),
        ],
        content=content,
        series_instance_uid=naming.series_uid(form, about, 0),
        series_number=naming.series_number(form, ordinal),
        sop_instance_uid=naming.instance_uid(form, about, 0),
        instance_number=1,
        is_complete=IS_COMPLETE,
        is_final=IS_FINAL,
        is_verified=IS_VERIFIED,
        institution_name=naming.identity.facility[:64],
        previous_versions=[_referenced(one) for one in naming.predecessors(form)] or None,
        requested_procedures=_requests(images[0]) or None,
        series_description=naming.series_description(form),
        coding_schemes=[private_scheme()],
        **ours(naming),
    )
    bundles = [f"{run.bundle.name} {run.bundle.version}" for run in arrangement.runs]
    return finish(result, form, naming, images, bundles)


def _procedure(image: SourceImage) -> str:
    return _PROCEDURES.get(image.modality, "photography_of_patient")


def algorithm(run: Run, points: Sequence[OperatingPoint], threshold: float | None = None) -> AlgorithmIdentification:
    """Return TID 4019 of a bundle: family, name, version, and its parameters.

    These are its content hash, title and grade, the rule by which images of a lesion are combined, and every threshold
    with who set it.
    """
    bundle = run.bundle
    said = [f"sha256={bundle.content_hash}", f"title={bundle.title}", f"grade={bundle.grade}"]
    said += [f"lesion rule={rule.output}: {rule.combine}" for rule in sorted(run.lesion_rules, key=lambda one: one.output)]
    for point in points:
        said.append(f"operating point={point.id}: {point.output}.{point.positive} >= {point.threshold!r}")
        said.append(f"set by={point.set_by}")
    if threshold is not None:
        said.append(f"mask threshold={threshold!r}")
    return AlgorithmIdentification(
        name=bundle.name, version=bundle.version, parameters=said, family=concept("artificial_intelligence")
    )


def finding_sites(frames: Sequence[Frame]) -> list[FindingSite] | None:
    """Return finding site and laterality as the images have them, None where they name none or contradict one another."""
    if place_of(frames) is None:
        return None
    site = next(frame.image.site for frame in frames if frame.image.site is not None)
    return [FindingSite(concept(site.region), laterality=concept(site.laterality) if site.laterality else None)]


def sources(frames: Sequence[Frame]) -> list[SourceImageForMeasurementGroup]:
    """Return the references of a group to its frames, one an image."""
    numbers: dict[str, list[int]] = {}
    for frame in frames:
        numbers.setdefault(frame.image.uid, []).extend(frame.reference or [])
    classes = {frame.image.uid: frame.image.sop_class_uid for frame in frames}
    return [SourceImageForMeasurementGroup(classes[uid], uid, told or None) for uid, told in numbers.items()]


def number(name: str, value: float, unit: str, derivation: CodedConcept | None = None) -> Measurement:
    """Return a NUM whose name and unit are rows of the code table."""
    return Measurement(name=concept(name), value=value, unit=concept(unit), derivation=derivation)


def text(name: str, value: str) -> TextContentItem:
    """Return a TEXT whose name is a row of the code table."""
    return TextContentItem(name=concept(name), value=value, relationship_type=RelationshipTypeValues.CONTAINS)


def commented(group: Group, sentence: str) -> Group:
    """Return the group with the sentence that a person reads behind its figures."""
    group[0].ContentSequence.append(text("comment", sentence))
    return group


def _evidence(seg: Composed, image: SourceImage) -> Dataset:
    item = Dataset()
    item.SOPClassUID = seg.sop_class_uid
    item.SOPInstanceUID = seg.sop_instance_uid
    item.SeriesInstanceUID = seg.series_instance_uid
    item.StudyInstanceUID = image.study_uid
    return item


def _referenced(one: Reference) -> Dataset:
    item = Dataset()
    item.SOPClassUID = one.sop_class_uid
    item.SOPInstanceUID = one.sop_instance_uid
    item.SeriesInstanceUID = one.series_instance_uid
    item.StudyInstanceUID = one.study_instance_uid
    return item


def _requests(image: SourceImage) -> list[Dataset]:
    """Return the source's requests in the form of an SR, so that a PACS that matches by order finds it (PS3.3 C.17.2)."""
    requests = []
    for source in image.dataset.get("RequestAttributesSequence") or []:
        item = Dataset()
        item.StudyInstanceUID = image.study_uid
        item.ReferencedStudySequence = []
        for keyword in ("AccessionNumber", "RequestedProcedureID", "RequestedProcedureDescription"):
            setattr(item, keyword, source.get(keyword) or (image.dataset.AccessionNumber if keyword == "AccessionNumber" else ""))
        item.PlacerOrderNumberImagingServiceRequest = image.dataset.get("PlacerOrderNumberImagingServiceRequest") or ""
        item.FillerOrderNumberImagingServiceRequest = image.dataset.get("FillerOrderNumberImagingServiceRequest") or ""
        item.RequestedProcedureCodeSequence = deepcopy(source.get("RequestedProcedureCodeSequence") or [])
        requests.append(item)
    return requests

"""What both structured reports have in common: observer, procedure, flags, evidence, predecessors."""

from collections.abc import Sequence
from copy import deepcopy

from highdicom.sr import (
    AlgorithmIdentification,
    Comprehensive3DSR,
    ComprehensiveSR,
    DeviceObserverIdentifyingAttributes,
    FindingSite,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    ObservationContext,
    ObserverContext,
    PlanarROIMeasurementsAndQualitativeEvaluations,
)
from pydicom import Dataset

from derm_pacs.domain.composed import Composed, Form, Reference
from derm_pacs.domain.edition import SrClass
from derm_pacs.domain.findings import OperatingPoint, Run
from derm_pacs.domain.marks import MANUFACTURER
from derm_pacs.results.arrange import Arrangement, Frame
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


def report(groups: Sequence[Group], title: str, naming: Naming) -> MeasurementReport:
    """Return the TID 1500 tree; `title` names a row of the code table."""
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
        procedure_reported=concept("dermoscopic_photography"),
        imaging_measurements=groups,
        title=concept(title),
    )


def document(
    content: MeasurementReport, form: Form, naming: Naming, *, arrangement: Arrangement,
    images: Sequence[SourceImage], segs: Sequence[Composed], ordinal: int = 0,
) -> Composed:
    """Make the SR of the edition's class around a content tree that refers to these images and SEGs."""
    about = [image.uid for image in images]
    result = _CLASSES[naming.edition.sr](
        evidence=[*(stand_in(image) for image in images), *(_evidence(seg, images[0]) for seg in segs)],
        content=content,
        series_instance_uid=naming.series_uid(form, about, 0),
        series_number=naming.series_number(form, ordinal),
        sop_instance_uid=naming.instance_uid(form, about, 0),
        instance_number=1,
        is_complete=IS_COMPLETE,
        is_final=IS_FINAL,
        is_verified=IS_VERIFIED,
        institution_name=naming.identity.facility[:64],
        previous_versions=[_predecessor(one) for one in naming.predecessors(form)] or None,
        requested_procedures=_requests(images[0]) or None,
        series_description=naming.series_description(form),
        coding_schemes=[private_scheme()],
        **ours(naming),
    )
    bundles = [f"{run.bundle.name} {run.bundle.version}" for run in arrangement.runs]
    return finish(result, form, naming, images, bundles)


def algorithm(run: Run, points: Sequence[OperatingPoint], threshold: float | None = None) -> AlgorithmIdentification:
    """Return TID 4019 of a bundle: name, version, content hash, and every threshold with who set it."""
    bundle = run.bundle
    said = [f"sha256={bundle.content_hash}", f"grade={bundle.grade}"]
    for point in points:
        said.append(f"operating point={point.id}: {point.output}.{point.positive} >= {point.threshold!r}")
        said.append(f"set by={point.set_by}")
    if threshold is not None:
        said.append(f"mask threshold={threshold!r}")
    return AlgorithmIdentification(
        name=bundle.name, version=bundle.version, parameters=said, family=concept("artificial_intelligence")
    )


def finding_sites(frame: Frame) -> list[FindingSite] | None:
    """Return the finding site and laterality as the image has them."""
    site = frame.image.site
    if site is None:
        return None
    return [FindingSite(concept(site.region), laterality=concept(site.laterality) if site.laterality else None)]


def _evidence(seg: Composed, image: SourceImage) -> Dataset:
    item = Dataset()
    item.SOPClassUID = seg.sop_class_uid
    item.SOPInstanceUID = seg.sop_instance_uid
    item.SeriesInstanceUID = seg.series_instance_uid
    item.StudyInstanceUID = image.study_uid
    return item


def _predecessor(one: Reference) -> Dataset:
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

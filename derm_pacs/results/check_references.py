"""To what does an object refer, and is it that? Every reference is held against the instance that it names."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pydicom import DataElement, Dataset
from pydicom.datadict import tag_for_keyword
from pydicom.multival import MultiValue

from derm_pacs.domain.composed import Composed, Form, Reference
from derm_pacs.results.arrange import Arrangement
from derm_pacs.results.identity import Naming
from derm_pacs.results.source import COPIED

TAKEN_OVER = frozenset({*COPIED, "RequestAttributesSequence", "ReferencedRequestSequence"})
"""Top-level attributes that hold the sender's values."""

_REPORTS = (Form.OVERLAY_SR, Form.REPORT_SR)
_EVIDENCE = ("CurrentRequestedProcedureEvidenceSequence", "PertinentOtherEvidenceSequence")
_OF_SERIES = ("ReferencedSOPSequence", "ReferencedInstanceSequence", "ReferencedImageSequence")


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """An instance to which an object may refer."""

    sop_class_uid: str
    series_uid: str
    study_uid: str
    frames: int


def known_instances(composed: Sequence[Composed], arrangement: Arrangement) -> dict[str, Known]:
    """Return the source images, what was made with them, and the earlier reports, by SOP Instance UID."""
    known = {
        image.uid: Known(
            sop_class_uid=image.sop_class_uid, series_uid=image.series_uid, study_uid=image.study_uid, frames=image.stored_frames
        )
        for image in arrangement.images
    }
    study_uid = arrangement.images[0].study_uid
    for one in composed:
        known[one.sop_instance_uid] = Known(
            sop_class_uid=one.sop_class_uid, series_uid=one.series_instance_uid, study_uid=study_uid, frames=1 << 31
        )
    for prior in priors(arrangement):
        known[prior.sop_instance_uid] = Known(
            sop_class_uid=prior.sop_class_uid, series_uid=prior.series_instance_uid,
            study_uid=prior.study_instance_uid, frames=1,
        )
    return known


def priors(arrangement: Arrangement) -> list[Reference]:
    """Return the earlier reports with which lesions are compared."""
    return [told.earlier.report for told in arrangement.lesions if told.earlier is not None]


def reference_faults(
    one: Composed, dataset: Dataset, known: Mapping[str, Known], arrangement: Arrangement
) -> Iterator[str]:
    """Yield the references of an object that do not hold."""
    images = {image.uid for image in arrangement.images}
    earlier = {prior.sop_instance_uid for prior in priors(arrangement)} if one.form is Form.REPORT_SR else set()
    outside = {prior.sop_instance_uid for prior in priors(arrangement)} - earlier
    for element, item in _items(dataset, TAKEN_OVER | {"PredecessorDocumentsSequence"}):
        if "ReferencedSOPInstanceUID" in item:
            uid = str(item.ReferencedSOPInstanceUID)
            yield from _instance_faults(element, item, known.get(uid) if uid not in outside else None)
            if uid in images and uid not in one.about:
                yield f"{element.keyword} refers to {uid}, which it is not about"
        if "SeriesInstanceUID" in item:
            for below in (each for keyword in _OF_SERIES for each in item.get(keyword) or []):
                instance = known.get(str(below.get("ReferencedSOPInstanceUID")))
                if instance is not None and instance.series_uid != item.SeriesInstanceUID:
                    yield f"{element.keyword} names another series of {below.ReferencedSOPInstanceUID}"


def document_faults(
    one: Composed, dataset: Dataset, known: Mapping[str, Known], arrangement: Arrangement, naming: Naming
) -> Iterator[str]:
    """Yield what is wrong with the evidence and the predecessors of a structured report; nothing for another object."""
    if one.form not in _REPORTS:
        return
    segs = {uid for uid, each in known.items() if each.sop_class_uid == naming.edition.sop_class(Form.SEG)}
    current = {*one.about, *segs} if one.form is Form.REPORT_SR else set(one.about)
    other = {prior.sop_instance_uid for prior in priors(arrangement)} if one.form is Form.REPORT_SR else set()
    for keyword, expected in zip(_EVIDENCE, (current, other), strict=True):
        listed = list(_listed(dataset, keyword))
        if sorted(uid for _, uid in listed) != sorted(expected):
            yield f"{keyword} does not list what the document refers to"
        elif any(uid not in known or known[uid].study_uid != study for study, uid in listed):
            yield f"{keyword} names another study"
    before = sorted(reference.sop_instance_uid for reference in naming.predecessors(one.form))
    if sorted(uid for _, uid in _listed(dataset, "PredecessorDocumentsSequence")) != before:
        yield "PredecessorDocumentsSequence does not name the earlier revision's documents"


def _instance_faults(element: DataElement, item: Dataset, instance: Known | None) -> Iterator[str]:
    uid = item.ReferencedSOPInstanceUID
    if instance is None or instance.sop_class_uid != item.get("ReferencedSOPClassUID"):
        yield f"{element.keyword} refers to {uid}, which is neither a source image nor made with it, or is of another class"
        return
    value = item.get("ReferencedFrameNumber") or 1
    frames = value if isinstance(value, MultiValue) else [value]
    if not all(1 <= int(frame) <= instance.frames for frame in frames):
        yield f"{element.keyword} refers to a frame that {uid} does not have"


def _listed(dataset: Dataset, keyword: str) -> Iterator[tuple[str, str]]:
    """Yield (study, instance) of a sequence of evidence or of predecessors."""
    for study in dataset.get(keyword) or []:
        for series in study.ReferencedSeriesSequence:
            for reference in series.ReferencedSOPSequence:
                yield str(study.StudyInstanceUID), str(reference.ReferencedSOPInstanceUID)


def _items(dataset: Dataset, left_out: frozenset[str]) -> Iterator[tuple[DataElement, Dataset]]:
    """Walk the items of all sequences with the element in which they stand, but not of the named ones of the top level."""
    skipped = {tag_for_keyword(keyword) for keyword in left_out}
    for element in dataset:
        if element.VR == "SQ" and element.tag not in skipped:
            for item in element.value:
                yield element, item
                yield from _items(item, frozenset())

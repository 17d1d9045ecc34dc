"""The last look at composed objects before they leave: read back from their bytes and held against findings and sources.

What the source says of patient and study is compared, not judged: correcting an odd value of the sender's would part
our objects from its own. Everything that we write ourselves must be legal by its value representation.
"""

import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence

import pydicom
from pydicom import DataElement, Dataset
from pydicom.config import RAISE
from pydicom.datadict import tag_for_keyword
from pydicom.errors import InvalidDicomError
from pydicom.valuerep import validate_value

from derm_pacs.domain.composed import Composed, Form, Identity
from derm_pacs.domain.edition import Edition
from derm_pacs.domain.errors import Defect
from derm_pacs.domain.findings import CaseFindings
from derm_pacs.domain.identifiers import is_legal_uid
from derm_pacs.domain.marks import IMPLEMENTATION_CLASS_UID, MANUFACTURER, PURPOSE
from derm_pacs.domain.reasons import RESULT_INVALID
from derm_pacs.results import source
from derm_pacs.results.arrange import Arrangement, arrange
from derm_pacs.results.check_content import code_faults, content_faults
from derm_pacs.results.check_figures import overlay_faults, report_faults
from derm_pacs.results.check_message import message_faults
from derm_pacs.results.check_pdf import pdf_faults
from derm_pacs.results.check_picture import picture_faults
from derm_pacs.results.check_presentation import presentation_faults
from derm_pacs.results.check_references import TAKEN_OVER, document_faults, known_instances, reference_faults
from derm_pacs.results.check_seg import seg_faults
from derm_pacs.results.compose import Previews
from derm_pacs.results.identity import Naming, naming
from derm_pacs.results.source import COPIED, SourceImage
from derm_pacs.results.unheard import unheard

_ONCE = frozenset({Form.REPORT_SR, Form.PDF, Form.MESSAGE})
"""Forms of which each composition has one object."""
_TEXT_VRS = frozenset(["AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UI", "UR", "UT"])
"""Value representations whose values pydicom writes as they are, legal or not."""


def check(  # noqa: PLR0917 - what compose was given, in the same order
    composed: Sequence[Composed], case: CaseFindings, sources: Mapping[str, bytes],
    identity: Identity, edition: Edition, previews: Previews,
) -> None:
    """Check the objects of one composition against the findings and the source files that they were made from.

    Raises `Defect` (RESULT_INVALID) whose detail names each object and what is wrong with it.
    """
    told = sorted({finding.image.sop_instance_uid for finding in case.findings})
    images = {uid: source.read(sources[uid]) for uid in told}
    with unheard():
        arrangement = arrange(case, images, identity.installation_uid)
        names = naming(identity, arrangement, edition)
        try:
            faults = _all_faults(composed, arrangement, names, previews)
        except (AttributeError, InvalidDicomError, LookupError, RuntimeError, TypeError, ValueError) as error:
            # the error's own words could quote a value of the patient's
            raise Defect(RESULT_INVALID, f"an object cannot be read back ({type(error).__name__})") from error
    if faults:
        raise Defect(RESULT_INVALID, "; ".join(faults))


def _all_faults(composed: Sequence[Composed], arrangement: Arrangement, names: Naming, previews: Previews) -> list[str]:
    """Return what is wrong with the objects as such; where nothing is, what their figures say wrongly."""
    images = {image.uid: image for image in arrangement.images}
    read = [(one, pydicom.dcmread(io.BytesIO(one.data))) for one in composed if one.form is not Form.MESSAGE]
    known = known_instances(composed, arrangement)
    faults = list(_composition_faults(composed, images, names.edition))
    for one, dataset in read:
        said = [*_faults(one, dataset, images, names), *reference_faults(one, dataset, known, arrangement)]
        said += [*document_faults(one, dataset, known, arrangement, names), *content_faults(one, dataset, arrangement, names)]
        faults += [f"{one.form} {one.sop_instance_uid}: {fault}" for fault in said]
    return faults or list(_figure_faults(composed, read, arrangement, names, previews))


def _figure_faults(
    composed: Sequence[Composed], read: Sequence[tuple[Composed, Dataset]], arrangement: Arrangement, names: Naming,
    previews: Previews,
) -> Iterator[str]:
    """Yield what each form's own last look finds, form by form of the edition."""
    forms = names.edition.forms
    segs = {one.sop_instance_uid: dataset for one, dataset in read if one.form is Form.SEG}
    if Form.SEG in forms:
        yield from seg_faults(list(segs.values()), arrangement, names.edition)
    if Form.OVERLAY_SR in forms:
        yield from overlay_faults([dataset for one, dataset in read if one.form is Form.OVERLAY_SR], arrangement)
    if Form.REPORT_SR in forms:
        yield from report_faults(next(dataset for one, dataset in read if one.form is Form.REPORT_SR), segs, arrangement)
    if Form.PICTURE in forms:
        yield from picture_faults([dataset for one, dataset in read if one.form is Form.PICTURE], arrangement, names, previews)
    if Form.PRESENTATION in forms:
        yield from presentation_faults([dataset for one, dataset in read if one.form is Form.PRESENTATION], arrangement)
    if Form.PDF in forms:
        yield from pdf_faults(next(dataset for one, dataset in read if one.form is Form.PDF), arrangement, names, previews)
    if Form.MESSAGE in forms:
        yield from message_faults(next(one for one in composed if one.form is Form.MESSAGE), arrangement)


def _composition_faults(
    composed: Sequence[Composed], images: Mapping[str, SourceImage], edition: Edition
) -> Iterator[str]:
    uids = [one.sop_instance_uid for one in composed]
    if len(set(uids)) < len(uids):
        yield "two objects have one SOP Instance UID"
    if set(uids) & set(images):
        yield "an object has the SOP Instance UID of a source image"
    forms = [one.form for one in composed]
    for form in _ONCE & edition.forms:
        if forms.count(form) != 1:
            yield f"there is not exactly one {form}"
    if set(forms) - edition.forms:
        yield "there is an object of a form that the edition does not have"
    if forms != sorted(forms, key=list(Form).index):
        yield "the objects are not in the order of sending"


def _faults(one: Composed, dataset: Dataset, images: Mapping[str, SourceImage], names: Naming) -> Iterator[str]:
    yield from _identity_faults(one, dataset, names.edition)
    yield from _patient_faults(one, dataset, images)
    yield from _value_faults(dataset)
    yield from code_faults(dataset, TAKEN_OVER)
    if "research use" not in str(dataset.get("SeriesDescription")):
        yield "Series Description does not say research use"
    if not any(_is_ours(item) for item in dataset.get("ContributingEquipmentSequence") or []):
        yield "Contributing Equipment Sequence does not name us"


def _identity_faults(one: Composed, dataset: Dataset, edition: Edition) -> Iterator[str]:
    if hashlib.sha256(one.data).hexdigest() != one.sha256:
        yield "SHA-256 is not that of the bytes"
    meta = dataset.file_meta
    named = (dataset.SOPClassUID, dataset.SOPInstanceUID, dataset.SeriesInstanceUID, meta.TransferSyntaxUID)
    if named != (one.sop_class_uid, one.sop_instance_uid, one.series_instance_uid, one.transfer_syntax_uid):
        yield "UIDs are not those that the object is announced with"
    if (meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID) != named[:2]:
        yield "File Meta Information names another object"
    if meta.ImplementationClassUID != IMPLEMENTATION_CLASS_UID:
        yield "File Meta Information names another implementation"
    if dataset.SOPClassUID != edition.sop_class(one.form):
        yield f"SOP class is not that of the form {one.form}"
    if "TimezoneOffsetFromUTC" not in dataset:
        yield "Timezone Offset From UTC is missing"


def _patient_faults(one: Composed, dataset: Dataset, images: Mapping[str, SourceImage]) -> Iterator[str]:
    """Compare patient and study with those of every image that the object is about; no value is quoted."""
    if not one.about:
        yield "it is about no image"
    for uid in one.about:
        if uid not in images:
            yield f"it is about {uid}, which is no source image"
            continue
        theirs = images[uid].dataset
        compared = COPIED if uid == one.about[0] else ("PatientID", "IssuerOfPatientID", "StudyInstanceUID")
        for keyword in compared:
            if _element_value(dataset, keyword) != _element_value(theirs, keyword):
                yield f"{keyword} is not the source's"
        if dataset.SeriesInstanceUID == images[uid].series_uid:
            yield "it lies in a source image's series"


def _element_value(dataset: Dataset, keyword: str) -> object:
    value = dataset.get(keyword)
    return value if isinstance(value, pydicom.Sequence) else str(value if value is not None else "")


def _value_faults(dataset: Dataset) -> Iterator[str]:
    for element in _elements(dataset, TAKEN_OVER):
        if element.VR not in _TEXT_VRS:
            continue
        values = element.value if isinstance(element.value, pydicom.multival.MultiValue) else [element.value]
        for value in values:
            if value is None or value == "":
                continue
            if element.VR == "UI" and not is_legal_uid(str(value)):
                yield f"{element.keyword} is no legal UID"
                continue
            try:
                validate_value(element.VR, str(value), RAISE)
            except ValueError:
                yield f"{element.keyword} {element.tag} has a value that its VR {element.VR} does not allow"


def _elements(dataset: Dataset, left_out: frozenset[str]) -> Iterator[DataElement]:
    """Walk all elements, also those in sequences, but not the named ones of the top level."""
    skipped = {tag_for_keyword(keyword) for keyword in left_out}
    for element in dataset:
        if element.tag in skipped:
            continue
        yield element
        if element.VR == "SQ":
            for item in element.value:
                yield from item.iterall()


def _is_ours(item: Dataset) -> bool:
    purpose = item.PurposeOfReferenceCodeSequence[0]
    return bool(item.get("Manufacturer") == MANUFACTURER and purpose.CodeValue == PURPOSE[0])

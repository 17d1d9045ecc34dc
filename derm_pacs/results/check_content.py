"""The last look at a structured report's tree: built as its templates say, of codes of the table, with figures that can be.

Looked at is what no validator looks at: containers, observer, relationships, tracking identifiers. The templates are
those of PS3.16: TID 1500, 1501, 1410, 1600, 1204, 1001, 4019.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from pydicom import Dataset

from derm_pacs.domain.codes import PRIVATE_SCHEME, meaning_of
from derm_pacs.domain.composed import Composed, Form
from derm_pacs.domain.identifiers import is_legal_uid
from derm_pacs.domain.reasons import REASONS
from derm_pacs.results.arrange import Arrangement
from derm_pacs.results.identity import Naming
from derm_pacs.results.readback import CodeKey, ReadGroup, ReadNumber, key_of
from derm_pacs.results.source import SourceImage
from derm_pacs.results.wording import RESEARCH_USE

_CONTAINS, _MODIFIES, _OBSERVES = "CONTAINS", "HAS CONCEPT MOD", "HAS OBS CONTEXT"
_ITEMS = {
    "language": ("CODE", _MODIFIES), "procedure_reported": ("CODE", _MODIFIES),
    "observer_type": ("CODE", _OBSERVES), "device_observer_uid": ("UIDREF", _OBSERVES),
    "device_observer_name": ("TEXT", _OBSERVES), "device_observer_manufacturer": ("TEXT", _OBSERVES),
    "device_observer_model_name": ("TEXT", _OBSERVES),
    "summary": ("TEXT", _CONTAINS), "unreadable_object": ("UIDREF", _CONTAINS),
    "image_library": ("CONTAINER", _CONTAINS), "image_library_group": ("CONTAINER", _CONTAINS),
    "modality": ("CODE", "HAS ACQ CONTEXT"),
    "imaging_measurements": ("CONTAINER", _CONTAINS), "measurement_group": ("CONTAINER", _CONTAINS),
    "tracking_identifier": ("TEXT", _OBSERVES), "tracking_uid": ("UIDREF", _OBSERVES),
    "finding": ("CODE", _CONTAINS), "finding_site": ("CODE", _MODIFIES), "laterality": ("CODE", _MODIFIES),
    "algorithm_name": ("TEXT", _MODIFIES), "algorithm_version": ("TEXT", _MODIFIES),
    "algorithm_parameters": ("TEXT", _MODIFIES), "algorithm_family": ("CODE", _MODIFIES),
    "derivation": ("CODE", _MODIFIES), "comment": ("TEXT", _CONTAINS),
    "image_region": ("SCOORD", _CONTAINS), "source_of_measurement": ("IMAGE", _CONTAINS),
    "referenced_segmentation_frame": ("IMAGE", _CONTAINS), "source_image_for_segmentation": ("IMAGE", _CONTAINS),
}  # fmt: skip
"""Value type and relationship of each item that the templates name; evaluations and figures are of a group's own."""
_BY_NAME = {key_of(name): said for name, said in _ITEMS.items()}
_ONCE = ("language", "observer_type", "device_observer_uid", "procedure_reported", "imaging_measurements")
_ONCE_IN_A_REPORT = ("summary", "image_library")
_TITLES = {Form.OVERLAY_SR: "imaging_measurement_report", Form.REPORT_SR: "imaging_report"}
_ANATOMY = ("AnatomicRegionSequence", "AnatomicRegionModifierSequence", "PrimaryAnatomicStructureSequence")


def content_faults(one: Composed, dataset: Dataset, arrangement: Arrangement, naming: Naming) -> Iterator[str]:
    """Yield what is wrong with the tree of a structured report, which can be read back if nothing is; else nothing."""
    if one.form not in _TITLES:
        return
    yield from _document_faults(one, dataset, naming)
    yield from _root_faults(one, dataset, naming)
    yield from _relationship_faults(dataset)
    for group in _named(_below(dataset), "measurement_group"):
        yield from _group_faults(group, commented=one.form is Form.REPORT_SR)
    yield from _meaning_faults(dataset, arrangement)


def range_faults(groups: Iterable[ReadGroup], arrangement: Arrangement) -> Iterator[str]:
    """Yield the figures of a structured report that lie where no figure can."""
    images = {image.uid: image for image in arrangement.images}
    for group in groups:
        for number in group.numbers:
            if not _can_be(number, images[group.image_uid], group.frame):
                yield f"the figure {number.meaning} cannot be {number.value:g} {number.unit}"


def code_faults(dataset: Dataset, left_out: frozenset[str]) -> Iterator[str]:
    """Yield the codes of any object, outside the named attributes, that do not mean what the table says.

    Of the public schemes only what stands in the table is judged; a private code that is not of ours is wrong anywhere.
    """
    for element in dataset:
        if element.VR != "SQ" or element.keyword in left_out or element.keyword in _ANATOMY:
            continue
        for item in element.value:
            if "CodeValue" in item:
                meaning = _known_meaning((str(item.CodeValue), str(item.CodingSchemeDesignator)))
                if meaning != item.CodeMeaning and (meaning is not None or item.CodingSchemeDesignator == PRIVATE_SCHEME):
                    yield f"{element.keyword} holds a code {item.CodeValue} with another meaning than the table's"
            yield from code_faults(item, left_out)


def _document_faults(one: Composed, dataset: Dataset, naming: Naming) -> Iterator[str]:
    if one.sop_instance_uid != naming.instance_uid(one.form, one.about, 0):
        yield "SOP Instance UID does not follow from what made it"
    if _name(dataset) != key_of(_TITLES[one.form]):
        yield "the title is not that by which viewers know it"
    flags = (dataset.get("CompletionFlag"), dataset.get("PreliminaryFlag"), dataset.get("VerificationFlag"))
    if flags != ("COMPLETE", "PRELIMINARY", "UNVERIFIED"):
        yield "the flags do not say complete, preliminary and unverified"
    if [item.TemplateIdentifier for item in dataset.get("ContentTemplateSequence") or []] != ["1500"]:
        yield "the template is not TID 1500"
    if one.form is Form.REPORT_SR:
        containers = [item for item in _below(dataset) if item.ValueType == "CONTAINER"]
        if any(item.get("ContinuityOfContent") != "SEPARATE" for item in (dataset, *containers)):
            yield "a container is not SEPARATE, so viewers print values without names"


def _root_faults(one: Composed, dataset: Dataset, naming: Naming) -> Iterator[str]:
    children = list(dataset.get("ContentSequence") or [])
    counted = Counter(_name(child) for child in children)
    for name in _ONCE + (_ONCE_IN_A_REPORT if one.form is Form.REPORT_SR else ()):
        if counted[key_of(name)] != 1 and not (name == "procedure_reported" and counted[key_of(name)]):
            yield f"{name} does not stand once below the title"
    expected = {"observer_type": key_of("device"), "language": key_of("english")}
    for name, value in expected.items():
        if any(_value(child) != value for child in _named(children, name)):
            yield f"{name} is not {value[0]}"
    if any(child.get("UID") != naming.identity.installation_uid for child in _named(children, "device_observer_uid")):
        yield "the observer is not this installation"
    contained = [child for child in children if child.get("RelationshipType") == _CONTAINS]
    if one.form is Form.REPORT_SR and (not contained or not _is_summary(contained[0])):
        yield "the summary does not come first, or does not say research use"
    for child in _named(children, "imaging_measurements"):
        if not list(_named(child.get("ContentSequence") or [], "measurement_group")):
            yield "there is no measurement group"


def _is_summary(item: Dataset) -> bool:
    return _name(item) == key_of("summary") and RESEARCH_USE in str(item.get("TextValue"))


def _relationship_faults(dataset: Dataset) -> Iterator[str]:
    for item in _below(dataset):
        name = _name(item)
        found = item.ValueType, item.get("RelationshipType")
        if name == key_of("source_image"):
            allowed = [("IMAGE", _CONTAINS), ("IMAGE", "SELECTED FROM")]
        elif name == key_of("prior_report"):
            allowed = [("COMPOSITE", _CONTAINS), ("IMAGE", _CONTAINS)]
        elif name in _BY_NAME:
            allowed = [_BY_NAME[name]]
        else:
            allowed = [("NUM", _CONTAINS), ("CODE", _CONTAINS)]
        # Image Quality is both what a group finds and what it evaluates
        if found not in allowed:
            yield f"{name[0]} {name[1]} is a {found[0]} that {found[1]}: not as its template says"


def _group_faults(group: Dataset, *, commented: bool) -> Iterator[str]:
    children = list(group.get("ContentSequence") or [])
    counted = Counter(_name(child) for child in children)
    once = ("tracking_identifier", "tracking_uid", "finding", *(("comment",) if commented else ()))
    for name in once:
        if counted[key_of(name)] != 1:
            yield f"{name} does not stand once in a measurement group"
    for child in _named(children, "tracking_uid"):
        if not is_legal_uid(str(child.get("UID"))):
            yield "a tracking UID is not legal"
    for child in _named(children, "comment"):
        if RESEARCH_USE not in str(child.get("TextValue")):
            yield "a comment does not say research use"
    if [item.TemplateIdentifier for item in group.get("ContentTemplateSequence") or []] not in (["1410"], ["1501"]):
        yield "a measurement group names no template of ours"
    if not any(_reaches_image(child) for child in children):
        yield "a measurement group refers to no image"


def _reaches_image(item: Dataset) -> bool:
    return item.ValueType == "IMAGE" or any(_reaches_image(below) for below in item.get("ContentSequence") or [])


def _meaning_faults(dataset: Dataset, arrangement: Arrangement) -> Iterator[str]:
    """Yield the codes of a content tree that stand neither in the table nor in an image, or mean something else there."""
    theirs = {
        (one.value, one.scheme, one.meaning)
        for image in arrangement.images if image.site is not None
        for one in (image.site.region, image.site.laterality) if one is not None
    }  # fmt: skip
    for item in (dataset, *_below(dataset)):
        units = [each for value in item.get("MeasuredValueSequence") or [] for each in value.MeasurementUnitsCodeSequence]
        for each in (*item.get("ConceptNameCodeSequence", []), *item.get("ConceptCodeSequence", []), *units):
            key = str(each.CodeValue), str(each.CodingSchemeDesignator)
            if (*key, str(each.CodeMeaning)) not in theirs and _known_meaning(key) != each.CodeMeaning:
                yield f"the code {key[0]} {key[1]} does not mean what the table says, or does not stand there"


def _known_meaning(key: CodeKey) -> str | None:
    return meaning_of(*key) or _REASON_MEANINGS.get(key)


_REASON_MEANINGS = {
    (reason.dicom_code, PRIVATE_SCHEME): reason.sentence.rstrip(".")[:64] for reason in REASONS.values() if reason.dicom_code
}

_RANGES: Mapping[CodeKey, tuple[float, float]] = {
    key_of("probability"): (0, 1), key_of("threshold_value"): (0, 1), key_of("change_of_probability"): (-1, 1),
    key_of("change_of_share"): (-100, 100), key_of("change_of_area"): (-math.inf, math.inf),
    key_of("change_of_diameter"): (-math.inf, math.inf),
}
_PIXEL = 1.0


def _can_be(number: ReadNumber, image: SourceImage, frame: int) -> bool:
    """Say whether a figure lies where it can lie: shares within the whole, sizes within the image."""
    if number.name in _RANGES:
        low, high = _RANGES[number.name]
    elif number.unit == "%":
        low, high = 0, 100
    else:
        spacing = image.spacing(frame) if number.unit in ("mm", "mm2") else None
        row, column = (spacing.row, spacing.column) if spacing else (_PIXEL, _PIXEL)
        height, width = image.rows * row, image.columns * column
        # the edge of what lies in the image is at most that of all its pixels, one by one
        limits = {"area": height * width, "diameter": math.hypot(height, width), "perimeter": 2 * image.rows * image.columns * (row + column)}
        low, high = 0, next((limit for name, limit in limits.items() if number.name == key_of(name)), -1)
    return low - 1e-9 <= number.value <= high * (1 + 1e-5)


def _below(item: Dataset) -> Iterator[Dataset]:
    for child in item.get("ContentSequence") or []:
        yield child
        yield from _below(child)


def _named(items: Iterator[Dataset] | list[Dataset], name: str) -> Iterator[Dataset]:
    return (item for item in items if _name(item) == key_of(name))


def _name(item: Dataset) -> CodeKey:
    names = item.get("ConceptNameCodeSequence") or []
    return (str(names[0].CodeValue), str(names[0].CodingSchemeDesignator)) if names else ("", "")


def _value(item: Dataset) -> CodeKey:
    return str(item.ConceptCodeSequence[0].CodeValue), str(item.ConceptCodeSequence[0].CodingSchemeDesignator)

"""Numbers and codes read back from an SR's bytes, without the code that wrote them."""

import io
from collections.abc import Iterator
from dataclasses import dataclass

import pydicom
from pydicom import Dataset

from derm_pacs.domain.codes import code
from derm_pacs.results.unheard import unheard

_MEASUREMENT_GROUP = "125007"
_FINDING = "121071"
_TRACKING_UID = "112040"
_TRACKING_IDENTIFIER = "112039"

CodeKey = tuple[str, str]
"""Code value and scheme."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadNumber:
    """One NUM of a measurement group."""

    name: CodeKey
    meaning: str
    value: float
    unit: str
    """Code value of the unit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadGroup:
    """One measurement group of a TID 1500 report."""

    finding: CodeKey
    tracking_uid: str
    tracking_identifier: str
    image_uid: str
    """SOP Instance UID of the source image."""
    frame: int
    """1-based; 1 where the reference names none."""
    numbers: tuple[ReadNumber, ...]
    evaluations: tuple[tuple[CodeKey, CodeKey], ...]
    """(name, value) of each coded evaluation."""
    seg: tuple[str, int] | None
    """SOP Instance UID and frame of the segmentation that the group refers to."""
    comment: str

    def number(self, name: str) -> ReadNumber | None:
        """Return the NUM whose name is the code table's row `name`, None where the group has none."""
        row = code(name)
        return next((one for one in self.numbers if one.name == (row.value, row.scheme)), None)


def groups(part10: bytes) -> tuple[ReadGroup, ...]:
    """Read the measurement groups of an SR's Part 10 file, in its order."""
    with unheard():
        return tuple(_group(item) for item in _containers(pydicom.dcmread(io.BytesIO(part10))))


def _containers(item: Dataset) -> Iterator[Dataset]:
    for child in item.get("ContentSequence") or []:
        if child.ValueType == "CONTAINER" and _name(child)[0] == _MEASUREMENT_GROUP:
            yield child
        else:
            yield from _containers(child)


def _group(container: Dataset) -> ReadGroup:
    children = list(container.ContentSequence)
    texts = {_name(one)[0]: str(one.TextValue) for one in children if one.ValueType == "TEXT"}
    uids = {_name(one)[0]: str(one.UID) for one in children if one.ValueType == "UIDREF"}
    coded = [(_name(one), _key(one.ConceptCodeSequence[0])) for one in children if one.ValueType == "CODE"]
    references = [one.ReferencedSOPSequence[0] for one in _images(container)]
    segs = [one for one in references if one.ReferencedSOPClassUID == pydicom.uid.SegmentationStorage]
    image = next(one for one in references if one.ReferencedSOPClassUID != pydicom.uid.SegmentationStorage)
    return ReadGroup(
        finding=next(value for name, value in coded if name[0] == _FINDING),
        tracking_uid=uids[_TRACKING_UID],
        tracking_identifier=texts[_TRACKING_IDENTIFIER],
        image_uid=str(image.ReferencedSOPInstanceUID),
        frame=_frame(image),
        numbers=tuple(_number(one) for one in children if one.ValueType == "NUM"),
        evaluations=tuple((name, value) for name, value in coded if name[0] != _FINDING),
        seg=(str(segs[0].ReferencedSOPInstanceUID), _frame(segs[0])) if segs else None,
        comment=texts.get(code("comment").value, ""),
    )


def _images(item: Dataset) -> Iterator[Dataset]:
    for child in item.get("ContentSequence") or []:
        if child.ValueType == "IMAGE":
            yield child
        elif child.ValueType == "SCOORD":
            yield from _images(child)


def _number(item: Dataset) -> ReadNumber:
    measured = item.MeasuredValueSequence[0]
    return ReadNumber(
        name=_name(item),
        meaning=str(item.ConceptNameCodeSequence[0].CodeMeaning),
        value=float(measured.NumericValue),
        unit=str(measured.MeasurementUnitsCodeSequence[0].CodeValue),
    )


def _frame(reference: Dataset) -> int:
    value = reference.get("ReferencedFrameNumber") or 1
    return int(value[0] if isinstance(value, pydicom.multival.MultiValue) else value)


def _name(item: Dataset) -> CodeKey:
    return _key(item.ConceptNameCodeSequence[0])


def _key(item: Dataset) -> CodeKey:
    return str(item.CodeValue), str(item.CodingSchemeDesignator)

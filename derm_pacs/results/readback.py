"""Numbers and codes read back from an SR's bytes, without the code that wrote them."""

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pydicom
from pydicom import Dataset

from derm_pacs.domain.codes import code
from derm_pacs.domain.edition import LABEL_MAP_SEGMENTATION, SEGMENTATION
from derm_pacs.results.unheard import unheard

CodeKey = tuple[str, str]
"""Code value and scheme."""

_SEGMENTATIONS = frozenset({SEGMENTATION, LABEL_MAP_SEGMENTATION})


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
    images: tuple[tuple[str, int], ...]
    """(SOP Instance UID, frame) of each source image or frame, in order; frame 1 where the reference names none."""
    numbers: tuple[ReadNumber, ...]
    evaluations: tuple[tuple[CodeKey, CodeKey], ...]
    """(name, value) of each coded evaluation; not finding, site and algorithm family."""
    site: tuple[CodeKey, CodeKey | None] | None
    """Finding site and laterality."""
    seg: tuple[str, int] | None
    """SOP Instance UID and number, of frame or segment, of the segmentation that the group refers to."""
    prior: str | None
    """SOP Instance UID of the earlier report that the group compares with."""
    algorithm: tuple[str, str] | None
    """Name and version of the bundle."""
    parameters: tuple[str, ...]
    """Its parameters."""
    points: tuple[tuple[float, float], ...]
    """(column, row) of the contour, empty where the group has none."""
    comment: str

    @property
    def image_uid(self) -> str:
        """SOP Instance UID of the first source image."""
        return self.images[0][0]

    @property
    def frame(self) -> int:
        """Frame of the first source image."""
        return self.images[0][1]

    def number(self, name: str) -> ReadNumber | None:
        """Return the NUM whose name is the code table's row `name`, None where the group has none."""
        return next((one for one in self.numbers if one.name == key_of(name)), None)


def key_of(name: str) -> CodeKey:
    """Return value and scheme of the code table's row of that name."""
    row = code(name)
    return row.value, row.scheme


_STRUCTURAL = frozenset(key_of(name) for name in ("finding", "finding_site", "algorithm_family"))


def groups(part10: bytes) -> tuple[ReadGroup, ...]:
    """Read the measurement groups of an SR's Part 10 file, in its order."""
    with unheard():
        return groups_of(pydicom.dcmread(io.BytesIO(part10)))


def groups_of(document: Dataset) -> tuple[ReadGroup, ...]:
    """Read the measurement groups of an SR, in its order; raises `LookupError` or `AttributeError` for a broken tree."""
    return tuple(_group(item) for item in _containers(document))


def _containers(item: Dataset) -> Iterator[Dataset]:
    for child in item.get("ContentSequence") or []:
        if child.ValueType == "CONTAINER" and _name(child) == key_of("measurement_group"):
            yield child
        else:
            yield from _containers(child)


def _group(container: Dataset) -> ReadGroup:
    children = list(container.ContentSequence)
    texts = [(_name(one), str(one.TextValue)) for one in children if one.ValueType == "TEXT"]
    of_text = dict(texts)
    uids = {_name(one): str(one.UID) for one in children if one.ValueType == "UIDREF"}
    coded = [(_name(one), _key(one.ConceptCodeSequence[0])) for one in children if one.ValueType == "CODE"]
    references = [one.ReferencedSOPSequence[0] for one in _images(container) if _name(one) != key_of("prior_report")]
    segs = [one for one in references if one.ReferencedSOPClassUID in _SEGMENTATIONS]
    return ReadGroup(
        finding=next(value for name, value in coded if name == key_of("finding")),
        tracking_uid=uids[key_of("tracking_uid")],
        tracking_identifier=of_text[key_of("tracking_identifier")],
        images=tuple(
            (str(one.ReferencedSOPInstanceUID), frame)
            for one in references
            if one.ReferencedSOPClassUID not in _SEGMENTATIONS
            for frame in _frames(one)
        ),
        numbers=tuple(_number(one) for one in children if one.ValueType == "NUM"),
        evaluations=tuple((name, value) for name, value in coded if name not in _STRUCTURAL),
        site=_site(children),
        seg=(str(segs[0].ReferencedSOPInstanceUID), _segment(segs[0])) if segs else None,
        prior=next(
            (str(one.ReferencedSOPSequence[0].ReferencedSOPInstanceUID) for one in children if _name(one) == key_of("prior_report")),
            None,
        ),
        algorithm=_algorithm(of_text),
        parameters=tuple(value for name, value in texts if name == key_of("algorithm_parameters")),
        points=_points(children),
        comment=of_text.get(key_of("comment"), ""),
    )


def _images(item: Dataset) -> Iterator[Dataset]:
    for child in item.get("ContentSequence") or []:
        if child.ValueType == "IMAGE":
            yield child
        elif child.ValueType == "SCOORD":
            yield from _images(child)


def _site(children: Sequence[Dataset]) -> tuple[CodeKey, CodeKey | None] | None:
    for one in children:
        if one.ValueType == "CODE" and _name(one) == key_of("finding_site"):
            sides = [_key(below.ConceptCodeSequence[0]) for below in one.get("ContentSequence") or []]
            return _key(one.ConceptCodeSequence[0]), sides[0] if sides else None
    return None


def _algorithm(texts: Mapping[CodeKey, str]) -> tuple[str, str] | None:
    name, version = texts.get(key_of("algorithm_name")), texts.get(key_of("algorithm_version"))
    return None if name is None or version is None else (name, version)


def _points(children: Sequence[Dataset]) -> tuple[tuple[float, float], ...]:
    for one in children:
        if one.ValueType == "SCOORD":
            flat = [float(value) for value in one.GraphicData]
            return tuple(zip(flat[::2], flat[1::2], strict=True))
    return ()


def _number(item: Dataset) -> ReadNumber:
    measured = item.MeasuredValueSequence[0]
    return ReadNumber(
        name=_name(item),
        meaning=str(item.ConceptNameCodeSequence[0].CodeMeaning),
        value=float(measured.NumericValue),
        unit=str(measured.MeasurementUnitsCodeSequence[0].CodeValue),
    )


def _frames(reference: Dataset) -> list[int]:
    value = reference.get("ReferencedFrameNumber") or 1
    return [int(one) for one in value] if isinstance(value, pydicom.multival.MultiValue) else [int(value)]


def _segment(reference: Dataset) -> int:
    return int(reference.get("ReferencedSegmentNumber") or _frames(reference)[0])


def _name(item: Dataset) -> CodeKey:
    return _key(item.ConceptNameCodeSequence[0])


def _key(item: Dataset) -> CodeKey:
    return str(item.CodeValue), str(item.CodingSchemeDesignator)

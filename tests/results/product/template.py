"""What no tool checks in a structured report: the rows of its template, who observed, which lesion, which words, ranges.

The rows are those of TID 1500, 1501, 1410, 300, 310, 1004, 1204 and 4019 (PS3.16) as far as our reports use them, and the
few of our own; a content item that has no row here is a fault.
"""

import math
from collections.abc import Iterator
from functools import cache
from typing import Any

import pydicom
from pydicom import Dataset
from pydicom.sr._concepts_dict import concepts

from derm_pacs.domain.composed import Form
from tests.results.product.axes import Site
from tests.results.product.judges import REPORTS
from tests.results.product.readers import read
from tests.results.product.sources import uid
from tests.results.product.told import Case

Row = tuple[str, str, str]
"""Relationship, value type, code value of the concept's name."""

_GROUP: set[Row] = {
    ("HAS OBS CONTEXT", "TEXT", "112039"), ("HAS OBS CONTEXT", "UIDREF", "112040"), ("CONTAINS", "CODE", "121071"),
    ("HAS CONCEPT MOD", "CODE", "363698007"), ("HAS CONCEPT MOD", "TEXT", "111001"), ("HAS CONCEPT MOD", "TEXT", "111002"),
    ("HAS CONCEPT MOD", "TEXT", "111003"), ("HAS CONCEPT MOD", "CODE", "111000"), ("CONTAINS", "TEXT", "121106"),
    ("CONTAINS", "IMAGE", "121112"), ("CONTAINS", "IMAGE", "121214"), ("CONTAINS", "IMAGE", "121191"),
    ("CONTAINS", "IMAGE", "121233"), ("CONTAINS", "SCOORD", "111030"), ("CONTAINS", "CODE", "111101"),
    ("CONTAINS", "CODE", "CALL"), ("CONTAINS", "CODE", "COMBINED-BY"), ("CONTAINS", "CODE", "NOT-ANALYSED"),
}  # fmt: skip
_MEASURED = {("HAS CONCEPT MOD", "TEXT", one) for one in ("111001", "111002", "111003")} | {
    ("HAS CONCEPT MOD", "CODE", "111000"), ("HAS CONCEPT MOD", "CODE", "121401"),
}  # fmt: skip
_DOCUMENT: set[Row] = {
    ("HAS CONCEPT MOD", "CODE", "121049"), ("HAS OBS CONTEXT", "CODE", "121005"), ("HAS OBS CONTEXT", "UIDREF", "121012"),
    ("HAS OBS CONTEXT", "TEXT", "121013"), ("HAS OBS CONTEXT", "TEXT", "121014"), ("HAS OBS CONTEXT", "TEXT", "121015"),
    ("HAS CONCEPT MOD", "CODE", "121058"), ("CONTAINS", "CONTAINER", "126010"),
}  # fmt: skip
ROWS: dict[str, set[Row]] = {
    "126000": _DOCUMENT,
    "18748-4": _DOCUMENT | {("CONTAINS", "CONTAINER", "111028"), ("CONTAINS", "TEXT", "121111")},
    "111028": {("CONTAINS", "CONTAINER", "126200")},
    "126200": {("CONTAINS", "IMAGE", "260753009")},
    "260753009": {("HAS ACQ CONTEXT", "CODE", "121139")},
    "126010": {("CONTAINS", "CONTAINER", "125007")},
    "125007": _GROUP,
    "363698007": {("HAS CONCEPT MOD", "CODE", "272741003")},
    "111030": {("SELECTED FROM", "IMAGE", "260753009")},
}
"""The rows allowed below a content item, by the code value of its name; below a NUM `_MEASURED`, below others none."""

RANGES: dict[str, tuple[float, float]] = {
    "122157": (0, 1), "122411": (0, 1), "111012": (0, 100), "SHARE-OF-IMAGE": (0, 100), "LESION-AREA": (0, 100),
    "42798000": (0, math.inf), "81827009": (0, math.inf), "131191004": (0, math.inf),
}  # fmt: skip
"""By the code value of the quantity; in an overlay the probabilities of classes are in per cent."""


def template_faults(case: Case) -> Iterator[str]:
    """Yield what the reports of a case have that the template has not, and what they lack."""
    for one in case.of(*REPORTS):
        report = read(one)
        faults = (*_rows(report), *_document(report, case), *_groups(report, case), *_codes(report), *_numbers(report))
        yield from (f"{one.form}: {fault}" for fault in faults)
    for one in case.of(Form.SEG, Form.PICTURE, Form.PRESENTATION, Form.PDF):
        yield from (f"{one.form}: {fault}" for fault in _codes(read(one)))


def _rows(item: Dataset) -> Iterator[str]:
    allowed = _MEASURED if item.ValueType == "NUM" else ROWS.get(_name(item), set())
    for child in item.get("ContentSequence") or []:
        row = (child.RelationshipType, child.ValueType, _name(child))
        if row not in allowed and not (_name(item) == "125007" and row[:2] == ("CONTAINS", "NUM")):
            yield f"{row} stands below {_name(item)}, where the template has no such row"
        yield from _rows(child)


def _document(report: Dataset, case: Case) -> Iterator[str]:
    below = {(child.RelationshipType, child.ValueType, _name(child)): child for child in report.ContentSequence}
    wanted = ROWS[_name(report)]
    for row in sorted(wanted - set(below)):
        yield f"the row {row} is missing below the root"
    if wanted - set(below):
        return
    if below["HAS OBS CONTEXT", "CODE", "121005"].ConceptCodeSequence[0].CodeValue != "121007":
        yield "the observer is no device"
    observer = below["HAS OBS CONTEXT", "UIDREF", "121012"].UID
    if observer != case.identity.installation_uid or observer != report.DeviceSerialNumber or len(observer) > 64:
        yield "the observer is not this installation"
    drawn = _name(report) == "126000"  # and not read as text
    if not drawn and any(item.ContinuityOfContent != "SEPARATE" for item in _all(report) if item.ValueType == "CONTAINER"):
        yield "a container is CONTINUOUS, so viewers show values without their names"


def _groups(report: Dataset, case: Case) -> Iterator[str]:
    """Each group is one lesion's, named as the image names it; skin around it has a name of its own."""
    own = uid("lesion", case.combination) if case.combination.site is Site.NAMED else None
    for group in (item for item in _all(report) if _name(item) == "125007"):
        named = {_name(child): child for child in group.ContentSequence}
        if not {"112039", "112040", "121071"} <= set(named):
            yield "a group without tracking identifier, tracking UID or finding"
            continue
        tracking, finding = str(named["112040"].UID), named["121071"].ConceptCodeSequence[0].CodeValue
        if not pydicom.uid.UID(tracking).is_valid or not str(named["112039"].TextValue):
            yield "a tracking UID that is none, or an empty identifier"
        several = _name(report) == "126000" and case.combination.frames.value > 1
        if own and finding != "39937001" and not several and tracking != own:
            yield f"the group of {finding} has another tracking UID than the image"
        if len({"121214", "121191", "111030"} & set(named)) > 1:
            yield "a group with segment and coordinates"
        if own and _name(report) == "18748-4" and "363698007" not in named:
            yield f"the group of {finding} does not say the finding site"


def _codes(dataset: Dataset) -> Iterator[str]:
    """Each code has the meaning that the standard gives it, and a SNOMED code its check digit."""
    for item in (each for element in dataset.iterall() if element.VR == "SQ" for each in element.value):
        value, scheme = str(item.get("CodeValue") or ""), str(item.get("CodingSchemeDesignator") or "")
        if not value or not scheme:
            continue
        meanings = _meanings().get((scheme, value))
        if meanings is not None and str(item.CodeMeaning).casefold() not in meanings:
            yield f"{value} {scheme} is called {item.CodeMeaning!r}, by the standard {sorted(meanings)}"
        if scheme == "SCT" and not _verhoeff(value):
            yield f"{value} is no SNOMED CT code"
        if len(value) > 16 or not 0 < len(str(item.CodeMeaning)) <= 64:
            yield f"{value} {scheme} is too long, or has no meaning"


def _numbers(report: Dataset) -> Iterator[str]:
    for item in (one for one in _all(report) if one.ValueType == "NUM"):
        measured = item.MeasuredValueSequence[0]
        low, high = (0.0, 100.0) if _name(item).startswith("P-") else RANGES.get(_name(item), (math.nan, math.nan))
        value = float(measured.NumericValue)
        if not low <= value <= high:
            yield f"{_name(item)} is {value}, not within {low} to {high}"
        if "FloatingPointValue" in measured and not math.isclose(measured.FloatingPointValue, value, rel_tol=1e-9):
            yield f"{_name(item)} is {value} in one place and {measured.FloatingPointValue} in the other"


def _all(item: Dataset) -> Iterator[Dataset]:
    yield item
    for child in item.get("ContentSequence") or []:
        yield from _all(child)


def _name(item: Dataset) -> str:
    return str(item.ConceptNameCodeSequence[0].CodeValue)


@cache
def _meanings() -> dict[tuple[str, str], set[str]]:
    """The dictionary that pydicom made of PS3.16, by scheme and code value, in small letters."""
    meanings: dict[tuple[str, str], set[str]] = {}
    tables: Any = concepts
    for scheme, keywords in tables.items():
        for value, (meaning, _) in (each for values in keywords.values() for each in values.items()):
            # SNOMED CT's fully specified name ends with its kind in brackets, a preferred term does not
            meanings.setdefault((scheme, value), set()).update({meaning.casefold(), meaning.casefold().rpartition(" (")[0]})
    return meanings


def _verhoeff(value: str) -> bool:
    """The check digit of SNOMED CT identifiers: a walk in the dihedral group of order ten."""
    check, shifted = 0, (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)
    for place, digit in enumerate(map(int, reversed(value))):
        for _ in range(place % 8):
            digit = shifted[digit]  # noqa: PLW2901 - the same digit, permuted once for each place
        check = _dihedral(check, digit)
    return check == 0


def _dihedral(one: int, two: int) -> int:
    if one < 5:
        return (one + two) % 5 + (5 if two >= 5 else 0)
    return (one - two) % 5 + (0 if two >= 5 else 5)

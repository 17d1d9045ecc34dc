"""Rows of the code table as highdicom's coded concepts."""

from highdicom.coding_schemes import CodingSchemeIdentificationItem
from highdicom.sr import CodedConcept

from derm_pacs.domain.codes import PRIVATE_SCHEME, Code, code


def concept(row: Code | str) -> CodedConcept:
    """Return the coded concept of a row, or of the row of that name."""
    one = code(row) if isinstance(row, str) else row
    return CodedConcept(value=one.value, scheme_designator=one.scheme, meaning=one.meaning)


def private_scheme() -> CodingSchemeIdentificationItem:
    """Return the item that says whose private scheme ours is (PS3.3 table C.12-1)."""
    return CodingSchemeIdentificationItem(
        designator=PRIVATE_SCHEME, name="derm-pacs private codes", responsible_organization="derm-pacs",
    )

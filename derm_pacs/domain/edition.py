"""In which forms a destination wants results, and in which it gets them after negotiation.

The order of falling back, stated once: a Comprehensive 3D SR becomes a Comprehensive SR; a label map SEG becomes a
binary one; whatever a destination does not take at all is left out, and the picture (Secondary Capture), which says
everything by itself, goes in its place. Where no form is left that says everything, the destination gets nothing and
the delivery is refused.
"""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from enum import StrEnum

from derm_pacs.domain.composed import Form

COMPREHENSIVE_3D_SR = "1.2.840.10008.5.1.4.1.1.88.34"
COMPREHENSIVE_SR = "1.2.840.10008.5.1.4.1.1.88.33"
SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"
LABEL_MAP_SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.7"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
COLOUR_PRESENTATION = "1.2.840.10008.5.1.4.1.1.11.2"
ENCAPSULATED_PDF = "1.2.840.10008.5.1.4.1.1.104.1"

EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
IMPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2"
"""The default, which every peer must take; what goes out in it is the same data set, otherwise encoded."""
RLE_LOSSLESS = "1.2.840.10008.1.2.5"

SAYS_EVERYTHING = frozenset({Form.REPORT_SR, Form.PICTURE, Form.PDF, Form.MESSAGE})
"""Forms of which each alone tells the whole result."""


class SrClass(StrEnum):
    """The SOP class of both structured reports; their content is the same."""

    COMPREHENSIVE_3D = "comprehensive_3d"
    COMPREHENSIVE = "comprehensive"


class SegKind(StrEnum):
    """How a mask is written (PS3.3 C.8.20.2, Segmentation Type)."""

    BINARY = "binary"
    FRACTIONAL = "fractional"
    """The mask as 0 and the maximum: what we have are masks, not shares."""
    LABELMAP = "labelmap"


class SegGeometry(StrEnum):
    """What a SEG says of geometry where its image has none."""

    PLACEHOLDER = "placeholder"
    """Pixel Measures of 1 mm and a Plane Orientation, without which OHIF goes black; nothing is measured from them."""
    NONE = "none"
    """The legal form without any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edition:
    """The forms in which a revision's results are made; also what a destination wants before it was asked.

    Objects that do not depend on what two editions differ in are the same objects.
    """

    forms: frozenset[Form]
    sr: SrClass = SrClass.COMPREHENSIVE_3D
    seg: SegKind = SegKind.BINARY
    seg_geometry: SegGeometry = SegGeometry.PLACEHOLDER
    rle: frozenset[Form] = frozenset()
    """Forms (SEG that is not binary, picture) that go out in RLE Lossless where that is smaller."""

    @property
    def key(self) -> str:
        """Return the edition as one line of text: equal editions have equal keys, `parse` reads it back."""
        return ";".join((
            ",".join(sorted(self.forms)), self.sr, self.seg, self.seg_geometry, ",".join(sorted(self.rle)),
        ))

    @classmethod
    def parse(cls, key: str) -> "Edition":
        """Read a key back; raises `ValueError` for a text that is no key."""
        forms, sr, seg, geometry, rle = key.split(";")
        return cls(
            forms=_forms(forms), sr=SrClass(sr), seg=SegKind(seg), seg_geometry=SegGeometry(geometry), rle=_forms(rle),
        )

    def sop_class(self, form: Form) -> str:
        """Return the SOP Class UID of a form in this edition; raises `KeyError` for the message, which is no DICOM object."""
        return _classes(self)[form]

    def variant(self, form: Form) -> str:
        """Return the part of the edition on which the bytes of a form's objects depend; it is part of their UIDs."""
        seg = f"{self.seg};{self.seg_geometry};{'rle' if Form.SEG in self.rle else 'native'}"
        match form:
            case Form.REPORT_SR:
                return f"{self.sr};{seg if Form.SEG in self.forms else 'no seg'}"
            case Form.OVERLAY_SR:
                return self.sr
            case Form.SEG:
                return seg
            case Form.PICTURE:
                return "rle" if Form.PICTURE in self.rle else "native"
            case Form.PRESENTATION | Form.PDF | Form.MESSAGE:
                return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreed:
    """What a destination gets of what it was meant to get."""

    edition: Edition | None
    """None where it takes no form that says everything."""
    left_out: tuple[Form, ...]
    """Wanted forms that it does not take, in the order of `Form`."""


Accepted = Mapping[str, AbstractSet[str]]
"""Transfer syntaxes that a destination accepts, by SOP Class UID."""


def candidates(wanted: Edition) -> Mapping[str, tuple[str, ...]]:
    """Return what is to be proposed: for each SOP class that could be sent, the transfer syntaxes that we can send."""
    classes = {wanted.sop_class(form) for form in wanted.forms if form is not Form.MESSAGE}
    if COMPREHENSIVE_3D_SR in classes:
        classes.add(COMPREHENSIVE_SR)
    if LABEL_MAP_SEGMENTATION in classes:
        classes.add(SEGMENTATION)
    classes.add(SECONDARY_CAPTURE)
    with_pixels = {SEGMENTATION, LABEL_MAP_SEGMENTATION, SECONDARY_CAPTURE}
    return {
        one: (EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN, *((RLE_LOSSLESS,) if one in with_pixels else ()))
        for one in sorted(classes)
    }


def agree(wanted: Edition, accepted: Accepted) -> Agreed:
    """Return what the destination gets, by the order of falling back at the head of this module."""
    edition = wanted
    if not accepted.get(COMPREHENSIVE_3D_SR) and accepted.get(COMPREHENSIVE_SR):
        edition = replace(edition, sr=SrClass.COMPREHENSIVE)
    if edition.seg is SegKind.LABELMAP and not accepted.get(LABEL_MAP_SEGMENTATION):
        edition = replace(edition, seg=SegKind.BINARY)
    taken = frozenset(form for form in wanted.forms if form is not Form.MESSAGE and accepted.get(edition.sop_class(form)))
    left_out = tuple(form for form in Form if form in wanted.forms - taken)
    if left_out and accepted.get(SECONDARY_CAPTURE):
        taken |= {Form.PICTURE}
    if not taken & SAYS_EVERYTHING:
        return Agreed(edition=None, left_out=left_out)
    rle = frozenset(
        form for form in taken & _compressible(edition) if RLE_LOSSLESS in accepted.get(edition.sop_class(form), ())
    )
    return Agreed(edition=replace(edition, forms=taken, rle=rle), left_out=left_out)


def _compressible(edition: Edition) -> frozenset[Form]:
    # One bit a pixel cannot be run-length encoded (PS3.5 section 8.2.2 counts in bytes).
    return frozenset({Form.PICTURE}) if edition.seg is SegKind.BINARY else frozenset({Form.PICTURE, Form.SEG})


def _classes(edition: Edition) -> dict[Form, str]:
    sr = COMPREHENSIVE_3D_SR if edition.sr is SrClass.COMPREHENSIVE_3D else COMPREHENSIVE_SR
    return {
        Form.SEG: LABEL_MAP_SEGMENTATION if edition.seg is SegKind.LABELMAP else SEGMENTATION,
        Form.OVERLAY_SR: sr,
        Form.REPORT_SR: sr,
        Form.PICTURE: SECONDARY_CAPTURE,
        Form.PRESENTATION: COLOUR_PRESENTATION,
        Form.PDF: ENCAPSULATED_PDF,
    }


def _forms(joined: str) -> frozenset[Form]:
    return frozenset(Form(one) for one in joined.split(",") if one)

"""A composed object as a value: what compose makes and deliver sends."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Form(StrEnum):
    """The forms of result objects."""

    SEG = "seg"
    OVERLAY_SR = "overlay_sr"
    REPORT_SR = "report_sr"
    PICTURE = "picture"
    """Secondary Capture that says everything by itself."""
    PRESENTATION = "presentation"
    """Colour softcopy presentation state."""
    PDF = "pdf"
    """Encapsulated PDF."""
    MESSAGE = "message"
    """HL7 v2 ORU^R01 for the record system; no DICOM object."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A reference to an instance of ours."""

    form: Form
    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    study_instance_uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What names the objects of one revision; equal identities and findings give equal bytes."""

    installation_uid: str
    """UID of this installation, also the device observer's UID."""
    facility: str
    revision: int
    """1-based number of the revision in its case."""
    revision_hash: str
    predecessors: tuple[Reference, ...]
    """The earlier revision's SRs that these supersede; empty for the first."""
    made_at: datetime
    """When the revision's last image was received, in the facility's zone (aware): all content times come from it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Composed:
    """One finished object.

    For a message, `sop_class_uid`, `series_instance_uid` and `transfer_syntax_uid` are empty and `sop_instance_uid` is the
    UID from which its control identifier (MSH-10) comes.
    """

    form: Form
    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    transfer_syntax_uid: str
    sha256: str
    """Hexadecimal SHA-256 of `data`."""
    about: tuple[str, ...]
    """SOP Instance UIDs of the source images."""
    data: bytes
    """The Part 10 file, or the message without its MLLP frame."""

"""What arrived, what belongs to which revision, and when a study is complete."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class InstanceRole(StrEnum):
    """What an instance is to us."""

    IMAGE = "image"
    """An image of a class that can be analysed; only these open revisions."""
    OTHER = "other"
    """Evidence of another kind (SR, SEG of others); filed, never analysed."""
    OURS = "ours"
    """A result of this or another installation; filed, never analysed, counts in no completeness."""
    UNREADABLE = "unreadable"
    """Acknowledged and kept, but its header cannot be read; opens a revision that ends rejected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolPlace:
    """Where the bytes of an object lie: a slice of a segment of one listener's spool."""

    listener: str
    """Name of the listener's spool directory below the spool's root."""
    segment: int
    offset: int
    """First byte of the Part 10 file inside the segment."""
    length: int
    """Bytes of the Part 10 file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredInstance:
    """An instance in the spool, as all rooms but the ledger see it."""

    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    study_instance_uid: str
    transfer_syntax_uid: str
    sha256: str
    """Hexadecimal SHA-256 of the Part 10 file's data set bytes (what follows the File Meta Information)."""
    pixel_sha256: str | None
    """Hexadecimal SHA-256 of the pixel data element's value, None where there is none."""
    place: SpoolPlace


class Placement(StrEnum):
    """What an arriving image means for its case."""

    FIRST = "first"
    """Opens revision 1."""
    JOINS = "joins"
    """Belongs to the revision that is still receiving."""
    SAME = "same"
    """A resend of bytes that the case has: nothing changes."""
    LATE = "late"
    """Opens the next revision."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quiet:
    """When a study counts as complete (settings `study.quiet_seconds`, `study.cap_seconds`)."""

    quiet: timedelta
    """Time without a new image after which the study is complete."""
    cap: timedelta
    """Time since the first image of the revision after which it is closed even if images go on coming."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrivals:
    """The images of a revision that is receiving, by the times that the spool recorded (UTC)."""

    first_at: datetime
    last_at: datetime


class CloseReason(StrEnum):
    """Why a revision was closed."""

    QUIET = "quiet_period"
    CAP = "cap"


@dataclass(frozen=True, slots=True, kw_only=True)
class Complete:
    """The study is complete as of `at`."""

    reason: CloseReason
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Open:
    """The study may still grow; ask again at `due`."""

    due: datetime


def completeness(arrivals: Arrivals, quiet: Quiet, now: datetime) -> Complete | Open:
    """Say whether a revision with these arrivals is complete at `now` (UTC).

    Only times that the spool recorded count, so a ledger refiled from the spool closes the same revisions.
    """
    due_quiet = arrivals.last_at + quiet.quiet
    due_cap = arrivals.first_at + quiet.cap
    if due_cap <= due_quiet and now >= due_cap:
        return Complete(reason=CloseReason.CAP, at=due_cap)
    if now >= due_quiet:
        return Complete(reason=CloseReason.QUIET, at=due_quiet)
    return Open(due=min(due_quiet, due_cap))


def place(
    *, known_in_case: bool, receiving: Arrivals | None, any_revision: bool, quiet: Quiet, received_at: datetime
) -> Placement:
    """Decide what an arriving image means.

    `known_in_case`: the case's current instances hold these very bytes under this SOP Instance UID.
    `receiving`: arrivals of the revision that is receiving, None where none is.
    An image that came after the receiving revision was complete by the spool's times is late even if the clock
    has not closed that revision yet.
    """
    if known_in_case:
        return Placement.SAME
    if receiving is not None and isinstance(completeness(receiving, quiet, received_at), Open):
        return Placement.JOINS
    return Placement.LATE if any_revision else Placement.FIRST


def revision_hash(instances: Iterable[tuple[str, str]]) -> str:
    """Name a revision by its set of (SOP Instance UID, SHA-256): hexadecimal SHA-256 of the sorted pairs."""
    text = "\n".join(f"{uid} {sha256}" for uid, sha256 in sorted(set(instances)))
    return hashlib.sha256(text.encode("ascii")).hexdigest()

"""Cases and their revisions: how they open, the one way in which their state changes, and what they consist of.

`take` is the only writer of `revisions.state`; a test reads the syntax tree of the whole package for another.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, delete, func, select
from sqlalchemy.orm import Session

from derm_pacs.domain.case import State, Step, advance
from derm_pacs.domain.reasons import Reason
from derm_pacs.domain.study import Arrivals, Complete, InstanceRole, SpoolPlace, StoredInstance, revision_hash
from derm_pacs.ledger.tables import Event, Instance, Revision, RevisionInstance, SpoolPosition

MEMBERS = (InstanceRole.IMAGE, InstanceRole.UNREADABLE)
"""The roles of instances that belong to revisions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiving:
    """A revision that is still receiving."""

    revision_id: int
    case_id: int
    number: int
    arrivals: Arrivals


def take(
    tx: Session, revision_id: int, step: Step, *, actor: str, reason: Reason | None = None, detail: str = "", now: datetime
) -> State:
    """Take a step with a revision and return the state after it.

    Locks the row until the transaction ends, and writes the event. The reason stands with the revision until the next
    step. Raises `ForbiddenStep` where the table has no such step, `LookupError` where there is no such revision.
    """
    revision = _locked(tx, revision_id)
    before = revision.state
    after = advance(before, step)
    revision.state = after
    revision.held_in = before if after is State.HELD else None
    revision.reason_code = reason.code if reason else None
    revision.reason_detail = detail if reason else None
    _tell(tx, revision, before=before, step=step, actor=actor, reason=reason, detail=detail, now=now)
    return after


def open_revision(tx: Session, case_id: int, arrivals: Arrivals, *, actor: str, now: datetime) -> int:
    """Open the next revision of a case, in `receiving`, and return its id; the caller adds its instances."""
    last = tx.scalar(select(func.max(Revision.number)).where(Revision.case_id == case_id)) or 0
    revision = Revision(
        case_id=case_id, number=last + 1, state=State.RECEIVING,
        first_received_at=arrivals.first_at, last_received_at=arrivals.last_at,
    )
    tx.add(revision)
    tx.flush()
    _tell(tx, revision, before=None, step=None, actor=actor, reason=None, detail="", now=now)
    return revision.id


def close(tx: Session, revision_id: int, complete: Complete, *, actor: str, now: datetime) -> State:
    """Close a receiving revision: it gets its hash, why and as of when it was closed, and is `queued`."""
    revision = _locked(tx, revision_id)
    members = [(instance.sop_instance_uid, instance.sha256) for instance in _members(tx, revision_id)]
    revision.closed_at = complete.at
    revision.close_reason = complete.reason
    revision.hash = revision_hash(members)
    return take(tx, revision_id, Step.CLOSE, actor=actor, detail=complete.reason, now=now)


def receiving(tx: Session) -> list[Receiving]:
    """Return the revisions that are receiving, the longest quiet one first.

    The clock closes one only when `last_at` + quiet + 1 s is not later than `drained_until`: what a listener took
    before that is filed then, so a ledger refiled from the spool closes the same revisions.
    """
    rows = tx.scalars(select(Revision).where(Revision.state == State.RECEIVING).order_by(Revision.last_received_at))
    return [
        Receiving(
            revision_id=row.id, case_id=row.case_id, number=row.number,
            arrivals=Arrivals(first_at=row.first_received_at, last_at=row.last_received_at),
        )
        for row in rows
    ]


def drained_until(tx: Session) -> datetime | None:
    """Return the time up to which everything that any listener took is filed, None where that is not known."""
    marks = list(tx.scalars(select(SpoolPosition.drained_at)))
    known = [mark for mark in marks if mark is not None]
    return min(known) if known and len(known) == len(marks) else None


def newest() -> "Select[int, int]":
    """Return the query for (case id, number) of the newest revision of every case."""
    return select(Revision.case_id, func.max(Revision.number)).group_by(Revision.case_id)


def unreadable(tx: Session, revision_id: int) -> tuple[StoredInstance, ...]:
    """Return the objects of a revision whose header cannot be read, by SOP Instance UID."""
    return tuple(
        stored(instance) for instance in _members(tx, revision_id) if instance.role is InstanceRole.UNREADABLE
    )


def stored(instance: Instance) -> StoredInstance:
    """Return the instance as the other rooms see it."""
    return StoredInstance(
        sop_class_uid=instance.sop_class_uid,
        sop_instance_uid=instance.sop_instance_uid,
        series_instance_uid=instance.series_instance_uid,
        study_instance_uid=instance.study_instance_uid,
        transfer_syntax_uid=instance.transfer_syntax_uid,
        sha256=instance.sha256,
        pixel_sha256=instance.pixel_sha256,
        place=SpoolPlace(
            listener=instance.listener, segment=instance.segment, offset=instance.offset, length=instance.length
        ),
    )


def patients_of(tx: Session, revision_id: int) -> tuple[int | None, ...]:
    """Return the patients whom the images of a revision name; None stands for images without a Patient ID.

    More than one entry means that the study's images name two patients.
    """
    found = tx.scalars(
        select(Instance.patient_id).distinct()
        .join(RevisionInstance, RevisionInstance.instance_id == Instance.id)
        .where(RevisionInstance.revision_id == revision_id, Instance.role == InstanceRole.IMAGE)
        .order_by(Instance.patient_id)
    )
    return tuple(found)


def conflicting_contents(tx: Session, revision_id: int) -> tuple[str, ...]:
    """Return the SOP Instance UIDs of a revision that its case has seen with two different pixel contents."""
    of_revision = (
        select(Instance.sop_instance_uid)
        .join(RevisionInstance, RevisionInstance.instance_id == Instance.id)
        .where(RevisionInstance.revision_id == revision_id)
    )
    case_id = select(Revision.case_id).where(Revision.id == revision_id).scalar_subquery()
    found = tx.scalars(
        select(Instance.sop_instance_uid)
        .where(Instance.case_id == case_id, Instance.sop_instance_uid.in_(of_revision))
        .group_by(Instance.sop_instance_uid)
        .having(func.count(Instance.pixel_sha256.distinct()) > 1)
        .order_by(Instance.sop_instance_uid)
    )
    return tuple(found)


def set_members(tx: Session, revision_id: int, case_id: int) -> None:
    """Make a revision consist of all current images of its case."""
    tx.flush()
    tx.execute(delete(RevisionInstance).where(RevisionInstance.revision_id == revision_id))
    current = tx.scalars(
        select(Instance.id).where(Instance.case_id == case_id, Instance.current, Instance.role.in_(MEMBERS))
    )
    tx.add_all(RevisionInstance(revision_id=revision_id, instance_id=instance_id) for instance_id in current)
    tx.flush()


def revisions_of(tx: Session, case_id: int) -> list[Revision]:
    """Return the rows of a case's revisions, the newest first."""
    return list(tx.scalars(select(Revision).where(Revision.case_id == case_id).order_by(Revision.number.desc())))


def _members(tx: Session, revision_id: int) -> Sequence[Instance]:
    return tx.scalars(
        select(Instance)
        .join(RevisionInstance, RevisionInstance.instance_id == Instance.id)
        .where(RevisionInstance.revision_id == revision_id)
        .order_by(Instance.sop_instance_uid)
    ).all()


def _locked(tx: Session, revision_id: int) -> Revision:
    tx.flush()  # what the caller has set on the row is not lost by reading it again
    return _found(tx.get(Revision, revision_id, with_for_update=True, populate_existing=True), revision_id)


def _found(revision: Revision | None, revision_id: int) -> Revision:
    if revision is None:
        raise LookupError(f"there is no revision {revision_id}")
    return revision


def _tell(
    tx: Session, revision: Revision, *, before: State | None, step: Step | None, actor: str,
    reason: Reason | None, detail: str, now: datetime,
) -> None:
    tx.flush()
    tx.add(Event(
        revision_id=revision.id, from_state=before, step=step, to_state=revision.state, actor=actor,
        reason_code=reason.code if reason else None, detail=detail, at=now,
    ))
    tx.flush()

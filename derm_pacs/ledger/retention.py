"""What may be deleted: segments of the spool whose cases have all passed their time, old ticks of the clock."""

from datetime import datetime

from sqlalchemy import ColumnElement, delete, exists, func, or_, select, tuple_, update
from sqlalchemy.orm import Session

from derm_pacs.domain.case import ENDS, State
from derm_pacs.ledger.tables import ClockRun, Event, Fault, Instance, Revision, SpoolPosition


def kept_segments(tx: Session, listener: str, *, limit: datetime) -> frozenset[int]:
    """Return the segments of a listener that must stay.

    They hold an object of a case that is on its way, is held, or had an event since `limit`, or one that could not be filed.
    """
    walking = [state for state in State if state not in ENDS or state is State.HELD]  # a held case waits for a person
    recent: ColumnElement[bool] = exists(
        select(Revision.id)
        .join(Event, Event.revision_id == Revision.id)
        .where(Revision.case_id == Instance.case_id)
        .group_by(Revision.id)
        .having(or_(func.max(Event.at) >= limit, Revision.state.in_(walking)))
    )
    held = tx.scalars(
        select(Instance.segment).where(Instance.listener == listener, or_(recent, Instance.filed_at >= limit)).distinct()
    )
    # What could not be filed lies in the spool alone; its fault names the place.
    passed_over = tx.scalars(select(Fault.key).where(Fault.cleared_at.is_(None), Fault.key.startswith(f"filing:{listener}:")))
    return frozenset(held) | {int(key.split(":")[2]) for key in passed_over}


def forget_segment(tx: Session, listener: str, segment: int) -> None:
    """Take the objects of a deleted segment out of what later revisions consist of; their rows stay."""
    tx.execute(
        update(Instance).where(Instance.listener == listener, Instance.segment == segment).values(current=False)
    )


def listeners(tx: Session) -> frozenset[str]:
    """Return the listeners of whose spool anything was ever filed."""
    return frozenset(tx.scalars(select(SpoolPosition.listener)))


def filed_through(tx: Session, listener: str) -> int:
    """Return the segment at which filing of a listener stands; earlier ones are filed whole. 0 where nothing is."""
    return tx.scalar(select(SpoolPosition.segment).where(SpoolPosition.listener == listener)) or 0


def forget_ticks(tx: Session, *, limit: datetime) -> None:
    """Delete ticks of the clock that were due before `limit`, but for the last of each name."""
    newest = select(ClockRun.name, func.max(ClockRun.due_at)).group_by(ClockRun.name)
    tx.execute(delete(ClockRun).where(ClockRun.due_at < limit, tuple_(ClockRun.name, ClockRun.due_at).not_in(newest)))

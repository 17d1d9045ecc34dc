"""What may be deleted: segments of the spool whose cases have all passed their time, old ticks of the clock."""

from datetime import datetime

from sqlalchemy import ColumnElement, delete, exists, func, or_, select, tuple_
from sqlalchemy.orm import Session

from derm_pacs.domain.case import ENDS
from derm_pacs.ledger.tables import ClockRun, Event, Instance, Revision, SpoolPosition


def kept_segments(tx: Session, listener: str, *, limit: datetime) -> frozenset[int]:
    """Return the segments of a listener that hold an object of a case that is open or had an event since `limit`."""
    recent: ColumnElement[bool] = exists(
        select(Revision.id)
        .join(Event, Event.revision_id == Revision.id)
        .where(Revision.case_id == Instance.case_id)
        .group_by(Revision.id)
        .having(or_(func.max(Event.at) >= limit, Revision.state.not_in(list(ENDS))))
    )
    return frozenset(
        tx.scalars(
            select(Instance.segment).where(Instance.listener == listener, or_(recent, Instance.filed_at >= limit)).distinct()
        )
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

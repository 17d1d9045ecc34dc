"""How the service stands, as far as the ledger knows: filing, cases, deliveries, faults, the clock."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select, tuple_
from sqlalchemy.orm import Session

from derm_pacs.domain.case import State
from derm_pacs.domain.delivery import DeliveryState
from derm_pacs.ledger import cases
from derm_pacs.ledger.faults import OpenFault, open_faults
from derm_pacs.ledger.result_tables import DeliveryRow
from derm_pacs.ledger.tables import ClockRun, Revision, SpoolPosition


@dataclass(frozen=True, slots=True, kw_only=True)
class FilingLine:
    """Up to where a listener's spool is filed."""

    listener: str
    segment: int
    offset: int
    drained_at: datetime | None
    """When the spool's end was last reached."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How the service stands, as far as the ledger knows."""

    filing: tuple[FilingLine, ...]
    cases: Mapping[State, int]
    """Cases by the state of their newest revision; states without a case are left out."""
    deliveries: Mapping[DeliveryState, int]
    """Deliveries that are not finished, by state."""
    faults: tuple[OpenFault, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TickLine:
    """The last run of a tick of the clock."""

    name: str
    due_at: datetime
    ran_at: datetime
    note: str


def standing(tx: Session) -> Standing:
    """Return how filing, cases, deliveries and faults stand."""
    is_newest = tuple_(Revision.case_id, Revision.number).in_(cases.newest())
    states = tx.execute(select(Revision.state, func.count()).where(is_newest).group_by(Revision.state))
    deliveries = tx.execute(
        select(DeliveryRow.state, func.count()).where(DeliveryRow.finished_at.is_(None)).group_by(DeliveryRow.state)
    )
    return Standing(
        filing=tuple(
            FilingLine(listener=row.listener, segment=row.segment, offset=row.offset, drained_at=row.drained_at)
            for row in tx.scalars(select(SpoolPosition).order_by(SpoolPosition.listener))
        ),
        cases={row[0]: row[1] for row in states},
        deliveries={row[0]: row[1] for row in deliveries},
        faults=tuple(open_faults(tx)),
    )


def last_ticks(tx: Session) -> tuple[TickLine, ...]:
    """Return the last run of each tick of the clock, by name."""
    last = select(ClockRun.name, func.max(ClockRun.due_at)).group_by(ClockRun.name)
    rows = tx.scalars(select(ClockRun).where(tuple_(ClockRun.name, ClockRun.due_at).in_(last)).order_by(ClockRun.name))
    return tuple(TickLine(name=row.name, due_at=row.due_at, ran_at=row.ran_at, note=row.note) for row in rows)

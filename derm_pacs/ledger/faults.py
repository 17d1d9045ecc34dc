"""Faults: conditions that a person can mend, opened when they hold and cleared when they do not.

A fault has a key (`peer:pacs`, `disk:spool`); of one key one is open at a time, so saying it again changes nothing.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from derm_pacs.domain.reasons import REASONS, Reason
from derm_pacs.ledger.tables import Fault


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenFault:
    """A condition that holds."""

    key: str
    reason: Reason
    detail: str
    """Names the file, peer or setting; no patient data."""
    opened_at: datetime


def open(tx: Session, key: str, reason: Reason, detail: str, now: datetime) -> bool:  # noqa: A001  (read as faults.open)
    """Say that a condition holds; return whether that is new. An open fault takes the newest reason and detail."""
    made = tx.execute(
        insert(Fault)
        .values(key=key, reason_code=reason.code, detail=detail, opened_at=now)
        .on_conflict_do_nothing(index_elements=[Fault.key], index_where=Fault.cleared_at.is_(None))
        .returning(Fault.id)
    ).scalar_one_or_none()
    if made is None:
        tx.execute(
            update(Fault).where(Fault.key == key, Fault.cleared_at.is_(None)).values(reason_code=reason.code, detail=detail)
        )
    return made is not None


def clear(tx: Session, key: str, now: datetime) -> bool:
    """Say that a condition does not hold (any more); return whether a fault was open."""
    cleared = tx.scalars(
        update(Fault).where(Fault.key == key, Fault.cleared_at.is_(None)).values(cleared_at=now).returning(Fault.id)
    ).all()
    return bool(cleared)


def open_faults(tx: Session) -> list[OpenFault]:
    """Return the open faults, the oldest first."""
    rows = tx.scalars(select(Fault).where(Fault.cleared_at.is_(None)).order_by(Fault.opened_at, Fault.key))
    return [
        OpenFault(key=row.key, reason=REASONS[row.reason_code], detail=row.detail, opened_at=row.opened_at) for row in rows
    ]

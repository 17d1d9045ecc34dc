"""The audit trail: who did what and why, each row's hash over the row before, from row 1 on.

A row's hash is SHA-256 over the hash before and the row as canonical JSON. The database refuses UPDATE, DELETE and
TRUNCATE; whoever gets round that leaves a chain that `verify` finds broken. What a chain alone cannot show is that
its newest rows were cut off: `Whole` gives the number of rows and the last hash, for comparison with an export.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import cast, func, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Session

from derm_pacs.ledger.columns import Json
from derm_pacs.ledger.tables import AuditRow

_LOCK = 4_715_002  # of pg_advisory_xact_lock: rows are chained one after the other
_BEFORE_THE_FIRST = "0" * 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """Every row is the one that was written."""

    rows: int
    last_hash: str
    """Hash of the newest row; 64 zeros where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """The chain breaks."""

    row: int
    """Number of the first row that is not as it was written, or is missing."""
    what: str
    """What is wrong with it."""


def append(
    tx: Session, *, actor: str, action: str, subject: str, reason: str, detail: Mapping[str, Any], now: datetime
) -> int:
    """Add a row and return its number. Nothing in it may be patient data.

    Holds a lock until the transaction ends, so that no two rows follow the same one. Raises `ValueError` for an empty
    actor or reason: nothing is done by nobody or for nothing.
    """
    if not actor.strip() or not reason.strip():
        raise ValueError("the audit trail needs an actor and a reason")
    tx.execute(select(func.pg_advisory_xact_lock(_LOCK)))
    last = tx.execute(select(AuditRow.id, AuditRow.hash).order_by(AuditRow.id.desc()).limit(1)).one_or_none()
    number, previous = (last.id + 1, last.hash) if last is not None else (1, _BEFORE_THE_FIRST)
    # Numbers and texts as jsonb gives them back (1e16 becomes 10000000000000000): the hash is over those.
    kept: Json = tx.execute(select(cast(dict(detail), JSONB))).scalar_one()
    row = AuditRow(
        id=number, at=now.astimezone(UTC), actor=actor, action=action, subject=subject, reason=reason, detail=kept,
        previous_hash=previous, hash="",
    )
    row.hash = _hash(row)
    tx.add(row)
    tx.flush()
    return number


def verify(tx: Session) -> Broken | Whole:
    """Follow the chain from row 1 and name the first row that is changed, removed or out of its place."""
    rows, previous = 0, _BEFORE_THE_FIRST
    for row in tx.scalars(select(AuditRow).order_by(AuditRow.id).execution_options(yield_per=1000)):
        rows += 1
        if row.id != rows:
            return Broken(row=rows, what="is missing")
        if row.hash != _hash(row):
            return Broken(row=rows, what="was changed after it was written")
        if row.previous_hash != previous:
            return Broken(row=rows, what="does not follow the row before it")
        previous = row.hash
    return Whole(rows=rows, last_hash=previous)


def _hash(row: AuditRow) -> str:
    canonical = json.dumps(
        {
            "id": row.id, "at": row.at.astimezone(UTC).isoformat(timespec="microseconds"), "actor": row.actor,
            "action": row.action, "subject": row.subject, "reason": row.reason, "detail": row.detail,
        },
        ensure_ascii=True, allow_nan=False, separators=(",", ":"), sort_keys=True,
    )
    return hashlib.sha256(row.previous_hash.encode("ascii") + canonical.encode("ascii")).hexdigest()

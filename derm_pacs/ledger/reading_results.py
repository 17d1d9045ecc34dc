"""What people and machines read of a revision's results and of their deliveries."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from derm_pacs.domain.composed import Form
from derm_pacs.domain.delivery import DeliveryState, Proof
from derm_pacs.ledger.result_tables import (
    CommitmentTransaction,
    DeliveredObject,
    DeliveryRow,
    EditionObject,
    ResultRow,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultLine:
    """A composed object."""

    form: Form
    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    sha256: str
    length: int
    about: tuple[str, ...]
    composed_at: datetime
    editions: tuple[str, ...]
    """Keys of the editions to which it belongs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryLine:
    """A revision's results on their way to one destination."""

    destination: str
    state: DeliveryState
    edition: str | None
    """Key of the edition in which it gets the results, None while that is not known."""
    left_out: tuple[Form, ...]
    """Forms that it was to get and does not take."""
    proof: Proof | None
    """How it was shown that the destination has everything."""
    attempts: int
    acknowledged: int
    """Objects that the destination has acknowledged."""
    next_attempt_at: datetime | None
    reason_code: str | None
    reason_detail: str | None
    finished_at: datetime | None
    commitment_asked_at: datetime | None
    """When storage commitment was last asked for, None where it never was."""
    commitment_reported_at: datetime | None


def results(tx: Session, revision_id: int) -> tuple[ResultLine, ...]:
    """Return the revision's composed objects."""
    editions: dict[int, list[str]] = {}
    belonging = select(EditionObject).where(EditionObject.revision_id == revision_id).order_by(EditionObject.edition)
    for one in tx.scalars(belonging):
        editions.setdefault(one.result_id, []).append(one.edition)
    rows = tx.scalars(select(ResultRow).where(ResultRow.revision_id == revision_id).order_by(ResultRow.id))
    return tuple(
        ResultLine(
            form=row.form,
            sop_class_uid=row.sop_class_uid,
            sop_instance_uid=row.sop_instance_uid,
            series_instance_uid=row.series_instance_uid,
            sha256=row.sha256,
            length=row.length,
            about=tuple(row.about),
            composed_at=row.composed_at,
            editions=tuple(editions.get(row.id, ())),
        )
        for row in rows
    )


def deliveries(tx: Session, revision_id: int) -> tuple[DeliveryLine, ...]:
    """Return how the revision's results stand with each destination."""
    lines: list[DeliveryLine] = []
    for row in tx.scalars(select(DeliveryRow).where(DeliveryRow.revision_id == revision_id).order_by(DeliveryRow.destination)):
        asked = tx.scalars(
            select(CommitmentTransaction)
            .where(CommitmentTransaction.delivery_id == row.id)
            .order_by(CommitmentTransaction.id.desc())
            .limit(1)
        ).one_or_none()
        acknowledged = select(func.count()).select_from(DeliveredObject).where(DeliveredObject.delivery_id == row.id)
        lines.append(
            DeliveryLine(
                destination=row.destination,
                state=row.state,
                edition=row.edition,
                left_out=tuple(Form(one) for one in row.left_out),
                proof=row.proof,
                attempts=row.attempts,
                acknowledged=tx.scalars(acknowledged).one(),
                next_attempt_at=row.next_attempt_at,
                reason_code=row.reason_code,
                reason_detail=row.reason_detail,
                finished_at=row.finished_at,
                commitment_asked_at=asked.asked_at if asked is not None else None,
                commitment_reported_at=asked.reported_at if asked is not None else None,
            )
        )
    return tuple(lines)

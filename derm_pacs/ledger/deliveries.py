"""Deliveries and their storage commitment: the rows, and the only writer of a delivery's state."""

import uuid
from collections.abc import Iterable, Mapping
from datetime import datetime

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from derm_pacs.domain.commitment import Reported
from derm_pacs.domain.delivery import DELIVERY_TRANSITIONS, DeliveryState
from derm_pacs.domain.reasons import Reason
from derm_pacs.ledger.tables import CommitmentTransaction, DeliveredObject, DeliveryRow


def open_all(tx: Session, revision_id: int, destinations: Iterable[str]) -> tuple[int, ...]:
    """Open a delivery of the revision's results to each destination; returns the ids, old and new."""
    ids: list[int] = []
    for destination in destinations:
        tx.execute(
            insert(DeliveryRow)
            .values(revision_id=revision_id, destination=destination, state=DeliveryState.PENDING)
            .on_conflict_do_nothing()
        )
        ids.append(
            tx.scalars(
                select(DeliveryRow.id).where(DeliveryRow.revision_id == revision_id, DeliveryRow.destination == destination)
            ).one()
        )
    return tuple(ids)


def locked(tx: Session, delivery_id: int) -> DeliveryRow | None:
    """Return the row, locked until the transaction ends, or None."""
    return tx.scalars(select(DeliveryRow).where(DeliveryRow.id == delivery_id).with_for_update()).one_or_none()


def of_revision(tx: Session, revision_id: int) -> tuple[DeliveryRow, ...]:
    """Return the revision's deliveries by destination."""
    return tuple(
        tx.scalars(select(DeliveryRow).where(DeliveryRow.revision_id == revision_id).order_by(DeliveryRow.destination))
    )


def move(
    row: DeliveryRow, state: DeliveryState, *, now: datetime, reason: Reason | None = None, detail: str = ""
) -> None:
    """Bring a locked delivery to another state; raises `ValueError` where the table does not know the change."""
    if state not in DELIVERY_TRANSITIONS[row.state]:
        raise ValueError(f"delivery {row.id} is {row.state} and cannot become {state}")
    row.state = state
    row.reason_code = reason.code if reason is not None else None
    row.reason_detail = detail or None
    row.next_attempt_at = None
    row.finished_at = None if state in (DeliveryState.PENDING, DeliveryState.SENT) else now
    if state is not DeliveryState.REFUSED:
        row.attempts = 0
        row.first_attempt_at = None


def begin_again(tx: Session, row: DeliveryRow, now: datetime) -> None:
    """Make a refused delivery pending, as if nothing of it had been sent.

    What was acknowledged is sent again, since the destination may say that it did not keep it; the requests for
    commitment of the earlier sending are forgotten, since their reports speak of that one.
    """
    move(row, DeliveryState.PENDING, now=now)
    tx.execute(delete(DeliveredObject).where(DeliveredObject.delivery_id == row.id))
    tx.execute(delete(CommitmentTransaction).where(CommitmentTransaction.delivery_id == row.id))


def delivered(tx: Session, delivery_id: int) -> frozenset[int]:
    """Return the ids of the results that the destination has acknowledged."""
    return frozenset(tx.scalars(select(DeliveredObject.result_id).where(DeliveredObject.delivery_id == delivery_id)))


def note_delivered(tx: Session, delivery_id: int, statuses: Mapping[int, int], now: datetime) -> None:
    """Note the DIMSE status of each acknowledged result (result id to status)."""
    for result_id, status in statuses.items():
        tx.execute(
            insert(DeliveredObject)
            .values(delivery_id=delivery_id, result_id=result_id, status=status, sent_at=now)
            .on_conflict_do_nothing()
        )


def begin_commitment(tx: Session, delivery_id: int, *, now: datetime, deadline: datetime) -> str:
    """Open a commitment transaction and return its UID, new for every request (PS3.4 section J.3.2.1)."""
    uid = f"2.25.{uuid.uuid4().int}"
    tx.add(CommitmentTransaction(transaction_uid=uid, delivery_id=delivery_id, asked_at=now, deadline=deadline))
    return uid


def commitments(tx: Session, delivery_id: int) -> tuple[CommitmentTransaction, ...]:
    """Return the transactions of a delivery, newest first."""
    return tuple(
        tx.scalars(
            select(CommitmentTransaction)
            .where(CommitmentTransaction.delivery_id == delivery_id)
            .order_by(CommitmentTransaction.id.desc())
        )
    )


def reported(row: CommitmentTransaction) -> Reported | None:
    """Return what the destination reported on the transaction, None where it has not."""
    if row.report is None:
        return None
    return Reported(
        transaction_uid=row.transaction_uid,
        committed=frozenset(row.report["committed"]),
        failed=tuple((uid, int(reason)) for uid, reason in row.report["failed"]),
    )


def keep_report(tx: Session, report: Reported, now: datetime) -> None:
    """Keep a report that came on the association on which it was asked for."""
    row = tx.scalars(
        select(CommitmentTransaction).where(CommitmentTransaction.transaction_uid == report.transaction_uid).with_for_update()
    ).one()
    if row.reported_at is None:
        row.reported_at = now
        row.report = {"committed": sorted(report.committed), "failed": [list(one) for one in report.failed]}


def overdue(tx: Session, now: datetime) -> tuple[int, ...]:
    """Return the deliveries whose newest request for commitment has passed its deadline without a report."""
    rows = tx.execute(
        select(CommitmentTransaction.delivery_id)
        .join(DeliveryRow, DeliveryRow.id == CommitmentTransaction.delivery_id)
        .where(DeliveryRow.state == DeliveryState.SENT)
        .group_by(CommitmentTransaction.delivery_id)
        .having(func.max(CommitmentTransaction.deadline) <= now)
    )
    return tuple(int(row[0]) for row in rows)

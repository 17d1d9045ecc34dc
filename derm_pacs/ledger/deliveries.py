"""Deliveries and their storage commitment: the rows, and the only writer of a delivery's state."""

import uuid
from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from derm_pacs.domain.commitment import Reported
from derm_pacs.domain.composed import Form
from derm_pacs.domain.delivery import DELIVERY_TRANSITIONS, DeliveryState, Proof
from derm_pacs.domain.edition import Agreed, Edition
from derm_pacs.domain.reasons import Reason
from derm_pacs.ledger.result_tables import AgreementRow, CommitmentTransaction, DeliveredObject, DeliveryRow


def open_all(tx: Session, revision_id: int, destinations: Mapping[str, Agreed]) -> tuple[int, ...]:
    """Open a delivery of the revision's results to each destination, in its edition; returns the ids, old and new.

    An edition that is None is not known yet.
    """
    ids: list[int] = []
    for destination, agreed in destinations.items():
        tx.execute(
            insert(DeliveryRow)
            .values(
                revision_id=revision_id,
                destination=destination,
                state=DeliveryState.PENDING,
                edition=agreed.edition.key if agreed.edition is not None else None,
                left_out=list(agreed.left_out),
            )
            .on_conflict_do_nothing()
        )
        ids.append(
            tx.scalars(
                select(DeliveryRow.id).where(DeliveryRow.revision_id == revision_id, DeliveryRow.destination == destination)
            ).one()
        )
    return tuple(ids)


def agreed_before(tx: Session, destination: str, wanted: Edition) -> Agreed:
    """Return what the destination took when it was last asked for this edition; all of it where it never was."""
    row = tx.get(AgreementRow, (destination, wanted.key))
    if row is None:
        return Agreed(edition=wanted, left_out=())
    return Agreed(edition=Edition.parse(row.agreed_key), left_out=tuple(Form(one) for one in row.left_out))


def note_agreement(tx: Session, row: DeliveryRow, wanted: Edition, agreed: Agreed, now: datetime) -> None:
    """Note with the delivery, and for the revisions to come, in which edition the destination takes what it is meant to get.

    Raises `ValueError` where it takes nothing, since then there is nothing to remember.
    """
    if agreed.edition is None:
        raise ValueError(f"destination {row.destination} takes nothing, so there is no edition to note")
    row.edition, row.left_out = agreed.edition.key, list(agreed.left_out)
    values = {"agreed_key": row.edition, "left_out": row.left_out, "agreed_at": now}
    tx.execute(
        insert(AgreementRow)
        .values(destination=row.destination, wanted_key=wanted.key, **values)
        .on_conflict_do_update(index_elements=[AgreementRow.destination, AgreementRow.wanted_key], set_=values)
    )


def locked(tx: Session, delivery_id: int) -> DeliveryRow | None:
    """Return the row, locked until the transaction ends, or None."""
    return tx.scalars(select(DeliveryRow).where(DeliveryRow.id == delivery_id).with_for_update()).one_or_none()


def of_revision(tx: Session, revision_id: int) -> tuple[DeliveryRow, ...]:
    """Return the revision's deliveries by destination."""
    return tuple(
        tx.scalars(select(DeliveryRow).where(DeliveryRow.revision_id == revision_id).order_by(DeliveryRow.destination))
    )


def move(
    row: DeliveryRow, state: DeliveryState, *, now: datetime, reason: Reason | None = None, detail: str = "",
    proof: Proof | None = None,
) -> None:
    """Bring a locked delivery to another state; raises `ValueError` where the table does not know the change.

    A delivery is proven by something, and only what is proven has a proof.
    """
    if (state is DeliveryState.PROVEN) is not (proof is not None):
        raise ValueError(f"delivery {row.id} becomes {state} with the proof {proof}")
    if state not in DELIVERY_TRANSITIONS[row.state]:
        raise ValueError(f"delivery {row.id} is {row.state} and cannot become {state}")
    row.state = state
    row.proof = proof
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


def keep_report(tx: Session, report: Reported, now: datetime) -> int | None:
    """Keep a report with its transaction and return the delivery that it is about, None where we never asked for it.

    The first report stands; a second one changes nothing.
    """
    row = tx.scalars(
        select(CommitmentTransaction).where(CommitmentTransaction.transaction_uid == report.transaction_uid).with_for_update()
    ).one_or_none()
    if row is None:
        return None
    if row.reported_at is None:
        row.reported_at = now
        row.report = {"committed": sorted(report.committed), "failed": [list(one) for one in report.failed]}
        tx.flush()
    return row.delivery_id


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

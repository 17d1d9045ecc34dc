"""Counting the tries of a delivery, and ending or repeating them."""

from sqlalchemy.orm import Session

from derm_pacs.domain.case import State
from derm_pacs.domain.delivery import DeliveryState
from derm_pacs.domain.reasons import DEADLINE, DEFECT, Reason
from derm_pacs.ledger import deliveries
from derm_pacs.ledger.result_tables import DeliveryRow
from derm_pacs.ledger.tables import Revision
from derm_pacs.pipeline import queue
from derm_pacs.pipeline.conclude import conclude
from derm_pacs.pipeline.queue import Task
from derm_pacs.pipeline.retry import SILENT_TRIES, Again, GiveUp, Tries, decide
from derm_pacs.pipeline.site import Site
from derm_pacs.pipeline.stage import Failure

_SILENT_TRIES = 2 * SILENT_TRIES
"""Two stages count on a delivery while it is pending: deliver and compose edition."""


def taken_on(tx: Session, delivery_id: int, waiting: DeliveryState, site: Site) -> DeliveryRow | None:
    """Return the locked row of a delivery that is in `waiting` and whose revision still wants it; counts the try.

    None too for a pending one that is refused here: all its tries ended without a word (their process was killed), or it
    is past its deadline after an error, since tries that are killed after that error plan no last one.
    """
    row = deliveries.locked(tx, delivery_id)
    if row is None or row.state is not waiting or tx.get_one(Revision, row.revision_id).state is not State.DELIVERING:
        return None
    if waiting is DeliveryState.PENDING and (why := _given_up(row, site)) is not None:
        reason, detail = why
        deliveries.move(row, DeliveryState.REFUSED, now=site.now(), reason=reason, detail=detail)
        tx.flush()
        conclude(tx, row.revision_id, site)
        return None
    row.attempts += 1
    row.first_attempt_at = row.first_attempt_at or site.now()
    row.deadline = row.first_attempt_at + site.deadline
    return row


def _given_up(row: DeliveryRow, site: Site) -> tuple[Reason, str] | None:
    """Return why a pending delivery is not tried again, None where it is."""
    if row.reason_code is None:
        silent = row.attempts >= _SILENT_TRIES
        return (DEFECT, f"the process ended {row.attempts} times without a word") if silent else None
    if row.first_attempt_at is not None and site.now() - row.first_attempt_at > site.deadline:
        return DEADLINE, row.reason_detail or row.reason_code
    return None


def fail(tx: Session, delivery_id: int, failure: Failure, site: Site) -> None:
    """Come again by the rule of `retry.decide`, or give the delivery up, which holds the case."""
    now = site.now()
    row = deliveries.locked(tx, delivery_id)
    if row is None or row.state not in (DeliveryState.PENDING, DeliveryState.SENT):
        return
    row.attempts += not failure.counted
    row.first_attempt_at = row.first_attempt_at or now
    tries = Tries(count=row.attempts, first_failed_at=row.first_attempt_at)
    row.reason_code, row.reason_detail = failure.error.reason.code, failure.trace or failure.error.detail
    match decide(failure.error, tries, deadline=site.deadline, now=now):
        case Again(at=at):
            row.next_attempt_at = at
            queue.defer(tx, Task.DELIVER if row.state is DeliveryState.PENDING else Task.CONFIRM, delivery_id, at=at)
        case GiveUp(reason=reason, detail=detail):
            deliveries.move(row, DeliveryState.REFUSED, now=now, reason=reason, detail=detail)
            tx.flush()
            conclude(tx, row.revision_id, site)

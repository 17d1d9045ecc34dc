"""Rescue: work that is due but has no live job gets one again.

A job can end without its stage having settled: aborted when a worker was stopped, failed while the database was away.
The ledger says what is due, so nothing stays stuck, whatever became of the job.
"""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from derm_pacs.domain.case import State
from derm_pacs.domain.delivery import DeliveryState
from derm_pacs.ledger import deliveries
from derm_pacs.ledger.result_tables import DeliveryRow
from derm_pacs.ledger.tables import Revision
from derm_pacs.pipeline import queue
from derm_pacs.pipeline.queue import Task

_TASK_OF = {State.QUEUED: Task.ANALYSE, State.ANALYSING: Task.ANALYSE, State.COMPOSING: Task.COMPOSE}


def defer_forgotten(tx: Session, now: datetime) -> int:
    """Defer a job for every revision and delivery that is due and has none; returns how many."""
    live = {task: queue.live_subjects(tx, task) for task in Task}
    forgotten: list[tuple[Task, int]] = []
    for revision in tx.scalars(select(Revision).where(Revision.state.in_(list(_TASK_OF)))):
        task = _TASK_OF[revision.state]
        if revision.id not in live[task]:
            forgotten.append((task, revision.id))
    rows = tx.scalars(
        select(DeliveryRow)
        .join(Revision, Revision.id == DeliveryRow.revision_id)
        .where(Revision.state == State.DELIVERING, DeliveryRow.state.in_([DeliveryState.PENDING, DeliveryState.SENT]))
    )
    for row in rows:
        task = Task.DELIVER if row.state is DeliveryState.PENDING else Task.CONFIRM
        if row.id not in live[task] | live[Task.COMPOSE_EDITION] and not (task is Task.CONFIRM and _waits_for_report(tx, row.id, now)):
            forgotten.append((task, row.id))
    for task, subject in forgotten:
        queue.defer(tx, task, subject)
    return len(forgotten)


def _waits_for_report(tx: Session, delivery_id: int, now: datetime) -> bool:
    newest = deliveries.commitments(tx, delivery_id)[:1]
    return bool(newest) and newest[0].reported_at is None and newest[0].deadline > now

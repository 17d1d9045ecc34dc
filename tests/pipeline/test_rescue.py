"""What is due and has no live job gets one again; what has one, or waits for others, is left alone."""

from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from derm_pacs.domain.case import State
from derm_pacs.domain.delivery import DeliveryState
from derm_pacs.ledger import deliveries
from derm_pacs.ledger.database import Database
from derm_pacs.pipeline import queue
from derm_pacs.pipeline.queue import Task
from derm_pacs.pipeline.rescue import defer_forgotten
from tests.pipeline import ledger_rows
from tests.pipeline.ledger_rows import NOW

pytestmark = pytest.mark.server


@pytest.mark.parametrize(
    ("state", "task"),
    [(State.QUEUED, Task.ANALYSE), (State.ANALYSING, Task.ANALYSE), (State.COMPOSING, Task.COMPOSE)],
)
@pytest.mark.parametrize("ended", ["aborted", "failed", "cancelled", "succeeded"])
def test_a_revision_whose_job_ended_without_settling_gets_one_again(
    database: Database, state: State, task: Task, ended: str
) -> None:
    revision_id = database.transaction(lambda tx: ledger_rows.revision(tx, state))
    database.transaction(lambda tx: queue.defer(tx, task, revision_id))
    assert database.transaction(lambda tx: defer_forgotten(tx, NOW)) == 0
    database.transaction(lambda tx: tx.execute(text(f"UPDATE procrastinate_jobs SET status = '{ended}'")))  # noqa: S608
    assert database.transaction(lambda tx: defer_forgotten(tx, NOW)) == 1
    assert database.transaction(lambda tx: queue.live_subjects(tx, task)) == {revision_id}


@pytest.mark.parametrize("state", [State.RECEIVING, State.DELIVERING])
def test_a_revision_that_waits_for_images_or_deliveries_needs_no_job(database: Database, state: State) -> None:
    database.transaction(lambda tx: ledger_rows.revision(tx, state))
    assert database.transaction(lambda tx: defer_forgotten(tx, NOW)) == 0


def test_a_pending_delivery_without_a_job_gets_one(database: Database) -> None:
    def work(tx: Session) -> tuple[int, int]:
        made = ledger_rows.delivery(tx, ledger_rows.revision(tx, State.DELIVERING), "pacs")
        return made, defer_forgotten(tx, NOW)

    made, forgotten = database.transaction(work)
    assert forgotten == 1
    assert database.transaction(lambda tx: queue.live_subjects(tx, Task.DELIVER)) == {made}


def test_a_sent_delivery_waits_for_its_report_until_the_deadline(database: Database) -> None:
    def work(tx: Session) -> list[int]:
        made = ledger_rows.delivery(tx, ledger_rows.revision(tx, State.DELIVERING), "pacs", DeliveryState.SENT)
        deliveries.begin_commitment(tx, made, now=NOW, deadline=NOW + timedelta(minutes=10))
        tx.flush()
        return [defer_forgotten(tx, NOW + timedelta(minutes=minutes)) for minutes in (1, 9, 11)]

    assert database.transaction(work) == [0, 0, 1]

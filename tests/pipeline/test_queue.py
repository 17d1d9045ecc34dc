"""The queue's traps, each shown on the real PostgreSQL with real worker processes."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text

from derm_pacs.ledger.database import Database
from derm_pacs.pipeline import queue
from derm_pacs.pipeline.queue import Task

pytestmark = pytest.mark.server

WORKER = Path(__file__).with_name("queue_worker.py")
StartWorker = Callable[[float], subprocess.Popen[bytes]]


class Notes:
    """What the workers have noted, awaited by NOTIFY."""

    def __init__(self, url: str) -> None:
        self.connection = psycopg.connect(url, autocommit=True)
        self.connection.execute("CREATE TABLE notes (id serial, what text, subject int)")
        self.connection.execute("LISTEN notes")

    def read(self) -> list[tuple[str, int]]:
        return [(str(what), int(subject)) for what, subject in self.connection.execute("SELECT what, subject FROM notes ORDER BY id")]

    def wait_for(self, count: int, *, within: float = 30.0) -> list[tuple[str, int]]:
        end = datetime.now(UTC) + timedelta(seconds=within)
        while len(self.read()) < count:
            left = (end - datetime.now(UTC)).total_seconds()
            assert left > 0, f"only {self.read()} were noted"
            for _ in self.connection.notifies(timeout=min(left, 1.0), stop_after=1):
                pass
        return self.read()


@pytest.fixture
def notes(ledger_url: str) -> Iterator[Notes]:
    made = Notes(ledger_url)
    yield made
    made.connection.close()


@pytest.fixture
def start_worker(ledger_url: str) -> Iterator[StartWorker]:
    started: list[subprocess.Popen[bytes]] = []

    def start(seconds: float) -> subprocess.Popen[bytes]:
        process = subprocess.Popen([sys.executable, str(WORKER), ledger_url, str(seconds)])
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait()


def jobs(database: Database) -> list[tuple[str, int]]:
    rows = database.transaction(
        lambda tx: tx.execute(text("SELECT status::text, (args->>'subject')::int FROM procrastinate_jobs ORDER BY id")).all()
    )
    return [(str(row[0]), int(row[1])) for row in rows]


def test_a_job_exists_exactly_when_its_transaction_is_committed(database: Database) -> None:
    with pytest.raises(RuntimeError), database.engine.connect() as _:

        def fails(tx: object) -> None:
            queue.defer(tx, Task.ANALYSE, 1)  # type: ignore[arg-type]
            raise RuntimeError

        database.transaction(fails)
    assert jobs(database) == []
    database.transaction(lambda tx: queue.defer(tx, Task.ANALYSE, 2))
    assert jobs(database) == [("todo", 2)]


def test_a_second_job_of_the_same_subject_does_not_break_the_transaction(database: Database) -> None:
    def twice(tx: object) -> None:
        queue.defer(tx, Task.ANALYSE, 1)  # type: ignore[arg-type]
        queue.defer(tx, Task.ANALYSE, 1)  # type: ignore[arg-type]

    database.transaction(twice)
    assert jobs(database) == [("todo", 1), ("todo", 1)]


def test_the_stages_of_one_revision_run_one_after_another_and_others_beside_them(
    database: Database, notes: Notes, start_worker: StartWorker
) -> None:
    for task, subject in ((Task.ANALYSE, 1), (Task.COMPOSE, 1), (Task.ANALYSE, 2)):
        database.transaction(lambda tx, task=task, subject=subject: queue.defer(tx, task, subject))  # type: ignore[misc]
    start_worker(1.0)
    seen = notes.wait_for(6)
    of_one = [what for what, subject in seen if subject == 1]
    assert of_one == ["begin", "end", "begin", "end"]
    assert seen.index(("begin", 2)) < seen.index(("end", 1))


def test_a_job_that_waits_for_later_does_not_hold_up_other_subjects(
    database: Database, notes: Notes, start_worker: StartWorker
) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    database.transaction(lambda tx: queue.defer(tx, Task.ANALYSE, 1, at=later))
    database.transaction(lambda tx: queue.defer(tx, Task.ANALYSE, 2))
    start_worker(0.0)
    assert notes.wait_for(2) == [("begin", 2), ("end", 2)]


def test_a_killed_workers_job_is_rescued_by_us_alone(
    database: Database, ledger_url: str, notes: Notes, start_worker: StartWorker
) -> None:
    database.transaction(lambda tx: queue.defer(tx, Task.ANALYSE, 7))
    worker = start_worker(60.0)
    notes.wait_for(1)
    worker.kill()
    worker.wait()
    assert jobs(database) == [("doing", 7)]
    assert queue.rescue_stalled(ledger_url) == 0  # its heart still counts as beating
    database.transaction(lambda tx: tx.execute(text("UPDATE procrastinate_workers SET last_heartbeat = now() - interval '1 hour'")))
    assert queue.rescue_stalled(ledger_url) == 1
    start_worker(0.0)
    assert notes.wait_for(3)[1:] == [("begin", 7), ("end", 7)]


def test_a_worker_that_is_alone_brings_back_what_a_killed_one_has_left_at_once(
    database: Database, ledger_url: str, notes: Notes, start_worker: StartWorker
) -> None:
    database.transaction(lambda tx: queue.defer(tx, Task.ANALYSE, 7))
    worker = start_worker(60.0)
    notes.wait_for(1)
    with queue.announced(ledger_url):
        assert jobs(database) == [("doing", 7)], "another worker is announced"
    worker.kill()
    worker.wait()
    with queue.announced(ledger_url):
        assert jobs(database) == [("todo", 7)]


def test_a_stopped_worker_finishes_its_job_first(
    database: Database, notes: Notes, start_worker: StartWorker
) -> None:
    database.transaction(lambda tx: queue.defer(tx, Task.ANALYSE, 3))
    worker = start_worker(1.5)
    notes.wait_for(1)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(30) == 0
    assert notes.read() == [("begin", 3), ("end", 3)]
    assert jobs(database) == [("succeeded", 3)]


def test_ended_jobs_are_deleted_after_their_time_and_live_ones_never(database: Database) -> None:
    database.transaction(lambda tx: queue.defer(tx, Task.ANALYSE, 1))
    database.transaction(lambda tx: queue.defer(tx, Task.ANALYSE, 2))
    database.transaction(
        lambda tx: tx.execute(text("UPDATE procrastinate_jobs SET status = 'cancelled' WHERE (args->>'subject')::int = 1"))
    )
    in_a_week = datetime.now(UTC) + timedelta(days=7)
    deleted = database.transaction(lambda tx: queue.delete_ended(tx, older_than=timedelta(days=1), now=in_a_week))
    assert deleted == 1
    assert jobs(database) == [("todo", 2)]

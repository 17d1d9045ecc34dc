"""The queue in PostgreSQL: the only caller of Procrastinate.

A stage's job is deferred on the connection of the transaction that makes it due, so it exists exactly when that
transaction is committed. Jobs carry an identifier, nothing else.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, cast

import procrastinate
import psycopg
from sqlalchemy import text
from sqlalchemy.orm import Session

from derm_pacs.domain.errors import Transient
from derm_pacs.domain.reasons import DATABASE_AWAY

_HEARTBEAT_SECONDS = 2.0
_STALLED_AFTER_SECONDS = 10.0
"""A worker whose heart is silent for so long counts as dead. Were it only slow, its job would run twice, which is
harmless: the second to settle meets a forbidden step and is dropped."""


_ANNOUNCEMENT = 0x776F726B  # "work"


class Task(StrEnum):
    """The tasks of the queue; each takes `subject`, the id of a revision or of a delivery."""

    ANALYSE = "analyse"
    COMPOSE = "compose"
    COMPOSE_EDITION = "compose_edition"
    DELIVER = "deliver"
    CONFIRM = "confirm"


_LOCK: Mapping[Task, str] = {
    # The stages of one revision run one after another; a delivery waits for nothing but itself, so that one
    # destination that is away holds up neither the others nor a later revision.
    Task.ANALYSE: "revision",
    Task.COMPOSE: "revision",
    Task.COMPOSE_EDITION: "delivery",
    Task.DELIVER: "delivery",
    Task.CONFIRM: "delivery",
}

_outbox = procrastinate.App(connector=procrastinate.SyncPsycopgConnector())


def _connection(tx: Session) -> psycopg.Connection[Any]:
    return cast("psycopg.Connection[Any]", tx.connection().connection.driver_connection)


def defer(tx: Session, task: Task, subject: int, *, at: datetime | None = None) -> None:
    """Put a job into the queue as part of `tx`; `at` (UTC) is the earliest time it may start.

    No queueing lock is used: a job that waits for its retry would break on it. Jobs are idempotent instead.
    """
    job = _outbox.configure_task(
        task, queue=task, lock=f"{_LOCK[task]}-{subject}", schedule_at=at, connection=_connection(tx)
    )
    try:
        job.defer(subject=subject)
    except procrastinate.exceptions.ConnectorException as error:
        raise Transient(DATABASE_AWAY, "a job could not be put into the queue") from error


def live_subjects(tx: Session, task: Task) -> frozenset[int]:
    """Return the subjects that have a job waiting or running."""
    rows = tx.execute(
        text("SELECT (args->>'subject')::bigint FROM procrastinate_jobs WHERE task_name = :task AND status IN ('todo', 'doing')"),
        {"task": task.value},
    )
    return frozenset(int(row[0]) for row in rows)


def lengths(tx: Session) -> dict[str, int]:
    """Return the number of jobs by status."""
    rows = tx.execute(text("SELECT status::text, count(*) FROM procrastinate_jobs GROUP BY status"))
    return {str(row[0]): int(row[1]) for row in rows}


@contextmanager
def announced(url: str) -> Iterator[None]:
    """Announce a worker for as long as the context lasts; one that finds no other brings back what the dead have left.

    The announcement is a shared advisory lock on a connection of its own, which ends with its process. Who gets it
    exclusively is alone, so every job that counts as running has lost its worker and need not wait to be missed.
    """
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute("SELECT pg_try_advisory_lock(%s)", (_ANNOUNCEMENT,)).fetchone()
        alone = row is not None and bool(row[0])
        if alone:
            rescue_stalled(url, silent_for=0.0)
        connection.execute("SELECT pg_advisory_lock_shared(%s)", (_ANNOUNCEMENT,))
        if alone:
            connection.execute("SELECT pg_advisory_unlock(%s)", (_ANNOUNCEMENT,))
        yield


def rescue_stalled(url: str, *, silent_for: float = _STALLED_AFTER_SECONDS) -> int:
    """Return jobs whose worker has been silent for so many seconds to the queue; nobody else does. Returns how many."""
    async def rescue() -> int:
        async with procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=url)).open_async() as app:
            stalled = list(await app.job_manager.get_stalled_jobs(seconds_since_heartbeat=silent_for))
            for job in stalled:
                await app.job_manager.retry_job(job)
            return len(stalled)

    return asyncio.run(rescue())


def delete_ended(tx: Session, *, older_than: timedelta, now: datetime) -> int:
    """Delete jobs that ended before `now - older_than`; returns how many."""
    done = tx.execute(
        text(
            "WITH gone AS (DELETE FROM procrastinate_jobs j WHERE j.status NOT IN ('todo', 'doing') AND NOT EXISTS "
            "(SELECT 1 FROM procrastinate_events e WHERE e.job_id = j.id AND e.at >= :limit) RETURNING 1) "
            "SELECT count(*) FROM gone"
        ),
        {"limit": now - older_than},
    )
    return int(done.scalar_one())


class _UntilItWorks(procrastinate.BaseRetryStrategy):
    """Runs a job again whose stage could not even settle (the database was away)."""

    def get_retry_decision(self, *, exception: BaseException, job: procrastinate.jobs.Job) -> procrastinate.RetryDecision | None:
        """Retry in a few seconds; what a stage can settle by itself never comes here."""
        del exception, job
        return procrastinate.RetryDecision(retry_in={"seconds": 3})


def run_worker(url: str, tasks: Mapping[Task, Callable[[int], None]], *, name: str, concurrency: int) -> None:
    """Work off the queue until SIGTERM or SIGINT; a running job is finished first."""
    app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=url))
    for task, work in tasks.items():

        def run(*, subject: int, work: Callable[[int], None] = work) -> None:
            work(subject)

        app.task(name=task.value, queue=task.value, retry=_UntilItWorks())(run)
    app.run_worker(
        queues=[task.value for task in tasks],
        name=name,
        concurrency=concurrency,
        fetch_job_polling_interval=2.0,
        update_heartbeat_interval=_HEARTBEAT_SECONDS,
        stalled_worker_timeout=_STALLED_AFTER_SECONDS,
        shutdown_graceful_timeout=None,
    )

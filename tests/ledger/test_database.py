"""Transactions are all or nothing, and survive a lost connection and a restarted server."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from derm_pacs.domain.errors import Transient
from derm_pacs.domain.reasons import DATABASE_AWAY
from derm_pacs.ledger.database import Database
from derm_pacs.ledger.tables import Facility
from derm_pacs.operations.postgres import EmbeddedPostgres

pytestmark = pytest.mark.server


def names(database: Database) -> list[str]:
    return database.transaction(lambda tx: list(tx.scalars(select(Facility.name).order_by(Facility.name))))


@pytest.fixture
def own_server(short_folder: Path) -> Iterator[EmbeddedPostgres]:
    """A server that the test may stop."""
    server = EmbeddedPostgres(short_folder / "own", run_as="nobody")
    server.start()
    yield server
    server.stop()


def test_what_work_returns_comes_back_and_what_it_wrote_is_kept(database: Database) -> None:
    def work(tx: Session) -> int:
        tx.add(Facility(name="a"))
        return 7

    assert database.transaction(work) == 7
    assert names(database) == ["a"]


def test_an_error_rolls_everything_back_and_is_not_tried_again(database: Database) -> None:
    tries = 0

    def work(tx: Session) -> None:
        nonlocal tries
        tries += 1
        tx.add(Facility(name="a"))
        tx.flush()
        raise KeyError("ours")

    with pytest.raises(KeyError, match="ours"):
        database.transaction(work)
    assert tries == 1
    assert names(database) == []


def test_times_come_back_in_utc_whatever_the_server_is_set_to(ledger_url: str, database: Database) -> None:
    with psycopg.connect(ledger_url, autocommit=True) as connection:
        connection.execute("DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET timezone = ''Asia/Tokyo''', current_database()); END $$")
    at = database.transaction(lambda tx: tx.execute(select(func.now())).scalar_one())
    assert at.utcoffset() == timedelta(0)


def test_a_backend_that_is_ended_in_the_middle_costs_one_more_try(ledger_url: str, database: Database) -> None:
    tries = 0

    def work(tx: Session) -> None:
        nonlocal tries
        tries += 1
        tx.add(Facility(name=f"try {tries}"))
        tx.flush()
        if tries == 1:
            pid = tx.scalar(select(func.pg_backend_pid()))
            with psycopg.connect(ledger_url, autocommit=True) as other:
                other.execute("SELECT pg_terminate_backend(%s)", (pid,))
            tx.execute(text("SELECT 1"))

    database.transaction(work)
    assert tries == 2
    assert names(database) == ["try 2"]


def test_a_connection_that_was_ended_in_the_pool_is_not_noticed(ledger_url: str, database: Database) -> None:
    pid = database.transaction(lambda tx: tx.scalar(select(func.pg_backend_pid())))
    with psycopg.connect(ledger_url, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s)", (pid,))
    assert names(database) == []


def test_a_lost_connection_inside_a_foreign_error_is_seen_by_its_cause(database: Database) -> None:
    tries = 0

    class QueueError(Exception):
        """As a library that works on our connection would wrap the driver's error."""

    def work(tx: Session) -> str:
        nonlocal tries
        tries += 1
        if tries == 1:
            try:
                raise psycopg.OperationalError("the connection is lost")
            except psycopg.OperationalError as error:
                raise QueueError from error
        return "done"

    assert database.transaction(work) == "done"


def test_of_two_transactions_that_wait_for_one_another_both_end(database: Database) -> None:
    database.transaction(lambda tx: tx.add_all([Facility(name="a"), Facility(name="b")]))
    both_hold_one = threading.Barrier(2, timeout=30)

    def work(first: str, second: str) -> None:
        tries = 0

        def inside(tx: Session) -> None:
            nonlocal tries
            tries += 1
            tx.execute(text("UPDATE facilities SET name = name WHERE name = :name"), {"name": first})
            if tries == 1:
                both_hold_one.wait()
            tx.execute(text("UPDATE facilities SET name = name WHERE name = :name"), {"name": second})

        database.transaction(inside)
        ended.append(first)

    ended: list[str] = []
    threads = [threading.Thread(target=work, args=pair) for pair in (("a", "b"), ("b", "a"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert sorted(ended) == ["a", "b"]


def test_a_stopped_server_is_waited_for_and_given_up_in_the_end(own_server: EmbeddedPostgres) -> None:
    patient = Database(own_server.url, patience_seconds=60)
    hasty = Database(own_server.url, patience_seconds=0.3)
    assert patient.transaction(lambda tx: tx.scalar(text("SELECT 1"))) == 1
    own_server.stop()
    with pytest.raises(Transient) as away:
        hasty.transaction(lambda tx: tx.scalar(text("SELECT 1")))
    assert away.value.reason is DATABASE_AWAY
    assert "postgresql" not in str(away.value)

    answers: list[int | None] = []
    waiting = threading.Thread(target=lambda: answers.append(patient.transaction(lambda tx: tx.scalar(text("SELECT 2")))))
    waiting.start()
    own_server.start()
    waiting.join(timeout=60)
    assert answers == [2]
    patient.close()
    hasty.close()

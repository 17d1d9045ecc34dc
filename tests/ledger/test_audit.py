"""The audit trail is a chain from row 1; a changed, removed or swapped row is found and named."""

import threading
from datetime import datetime
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import errors

from derm_pacs.ledger import audit
from derm_pacs.ledger.audit import Broken, Whole
from derm_pacs.ledger.database import Database

pytestmark = pytest.mark.server


def write(database: Database, now: datetime, *, rows: int = 1, **detail: Any) -> list[int]:
    return database.transaction(lambda tx: [
        audit.append(
            tx, actor="lead", action="activate bundle", subject="lesion 1.0.0", reason="validated", detail=detail, now=now
        )
        for _ in range(rows)
    ])


def verify(database: Database) -> Broken | Whole:
    return database.transaction(audit.verify)


def tamper(url: str, *statements: str) -> None:
    """As somebody who owns the database would: the trigger is switched off first."""
    with psycopg.connect(url) as connection:
        for statement in ("ALTER TABLE audit DISABLE TRIGGER ALL", *statements):
            connection.execute(statement.encode())


def test_an_empty_trail_is_whole(database: Database) -> None:
    assert verify(database) == Whole(rows=0, last_hash="0" * 64)


def test_rows_are_numbered_from_one_and_chained(database: Database, now: datetime) -> None:
    assert write(database, now, rows=3, threshold=0.5) == [1, 2, 3]
    whole = verify(database)
    assert isinstance(whole, Whole)
    assert whole.rows == 3
    assert len(whole.last_hash) == 64


def test_a_row_that_is_rolled_back_leaves_no_hole(database: Database, now: datetime) -> None:
    def work(tx: Any) -> None:
        audit.append(tx, actor="a", action="b", subject="c", reason="d", detail={}, now=now)
        raise KeyError

    with pytest.raises(KeyError):
        database.transaction(work)
    assert write(database, now) == [1]


@pytest.mark.parametrize("statement", ["UPDATE audit SET actor = 'x'", "DELETE FROM audit", "TRUNCATE audit"])
def test_the_database_refuses_to_change_what_was_written(
    ledger_url: str, database: Database, now: datetime, statement: str
) -> None:
    write(database, now)
    with psycopg.connect(ledger_url) as connection, pytest.raises(errors.RestrictViolation, match="only appended"):
        connection.execute(statement.encode())


@pytest.mark.parametrize(
    "change",
    [
        "at = now()", "actor = 'other'", "action = 'other'", "subject = 'other'", "reason = 'other'",
        "detail = '{\"threshold\": 0.4}'", "previous_hash = repeat('0', 64)", "hash = repeat('0', 64)",
    ],
)
def test_a_changed_row_is_named(ledger_url: str, database: Database, now: datetime, change: str) -> None:
    write(database, now, rows=5, threshold=0.5)
    tamper(ledger_url, " ".join(("UPDATE audit SET", change, "WHERE id = 3")))
    broken = verify(database)
    assert isinstance(broken, Broken)
    assert broken.row == 3


def test_a_row_that_was_moved_into_the_place_of_a_removed_one_is_named(
    ledger_url: str, database: Database, now: datetime
) -> None:
    write(database, now, rows=3)
    tamper(ledger_url, "DELETE FROM audit WHERE id = 2", "UPDATE audit SET id = 2 WHERE id = 3")
    assert verify(database) == Broken(row=2, what="was changed after it was written")


@pytest.mark.parametrize("row", [1, 3])
def test_a_removed_row_is_named(ledger_url: str, database: Database, now: datetime, row: int) -> None:
    write(database, now, rows=5)
    tamper(ledger_url, " ".join(("DELETE FROM audit WHERE id =", str(row))))
    assert verify(database) == Broken(row=row, what="is missing")


def test_swapped_rows_are_named(ledger_url: str, database: Database, now: datetime) -> None:
    write(database, now, rows=5)
    tamper(
        ledger_url,
        "UPDATE audit SET id = 99 WHERE id = 2",
        "UPDATE audit SET id = 2 WHERE id = 4",
        "UPDATE audit SET id = 4 WHERE id = 99",
    )
    broken = verify(database)
    assert isinstance(broken, Broken)
    assert broken.row == 2


def test_a_row_that_follows_none_is_named(ledger_url: str, database: Database, now: datetime) -> None:
    """A forger who makes a row's own hash right still cannot make it follow the row before."""
    write(database, now)
    with psycopg.connect(ledger_url) as other:
        before = other.execute("SELECT * FROM audit").fetchone()
        assert before is not None
    tamper(ledger_url, "DELETE FROM audit")
    with psycopg.connect(ledger_url) as connection:
        connection.execute("ALTER TABLE audit ENABLE TRIGGER ALL")
    database.transaction(lambda tx: audit.append(
        tx, actor="x", action="x", subject="x", reason="x", detail={}, now=now
    ))
    write(database, now)
    tamper(ledger_url, "DELETE FROM audit WHERE id = 1")
    with psycopg.connect(ledger_url) as connection:
        connection.execute(
            "INSERT INTO audit VALUES (%s, %s, %s, %s, %s, %s, %s::jsonb, %s, %s)",
            (*before[:6], "{}", before[7], before[8]),
        )
    assert verify(database) == Broken(row=2, what="does not follow the row before it")


def test_the_cut_off_end_shows_in_the_number_of_rows_and_the_last_hash(
    ledger_url: str, database: Database, now: datetime
) -> None:
    write(database, now, rows=5)
    exported = verify(database)
    tamper(ledger_url, "DELETE FROM audit WHERE id = 5")
    cut = verify(database)
    assert isinstance(cut, Whole)
    assert cut != exported


def test_writers_at_the_same_time_make_one_chain(database: Database, now: datetime) -> None:
    threads = [threading.Thread(target=lambda: [write(database, now) for _ in range(5)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    whole = verify(database)
    assert isinstance(whole, Whole)
    assert whole.rows == 20


@pytest.mark.parametrize(("actor", "reason"), [("", "why"), (" ", "why"), ("lead", ""), ("lead", "\n")])
def test_nothing_is_done_by_nobody_or_for_nothing(database: Database, now: datetime, actor: str, reason: str) -> None:
    with pytest.raises(ValueError, match="actor and a reason"):
        database.transaction(lambda tx: audit.append(
            tx, actor=actor, action="x", subject="x", reason=reason, detail={}, now=now
        ))


texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
details = st.dictionaries(
    texts,
    st.one_of(
        st.none(), st.booleans(), st.integers(-(10**20), 10**20), st.floats(allow_nan=False, allow_infinity=False), texts,
        st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=3),
    ),
    max_size=4,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(detail=details, actor=texts.filter(str.strip), subject=texts)
def test_whatever_is_written_is_verified_as_it_is_kept(
    database: Database, now: datetime, detail: dict[str, Any], actor: str, subject: str
) -> None:
    database.transaction(lambda tx: audit.append(
        tx, actor=actor, action="set", subject=subject, reason="test", detail=detail, now=now
    ))
    assert isinstance(verify(database), Whole)

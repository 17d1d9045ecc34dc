"""A revision's state changes by the table alone, by one function, with an event, and the database agrees."""

import ast
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import product
from pathlib import Path

import psycopg
import pytest
from psycopg import errors
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

import derm_pacs
from derm_pacs.domain.case import TRANSITIONS, ForbiddenStep, State, Step
from derm_pacs.domain.reasons import TWO_PATIENTS
from derm_pacs.domain.study import Arrivals, CloseReason, Complete, revision_hash
from derm_pacs.ledger import cases
from derm_pacs.ledger.database import Database
from derm_pacs.ledger.tables import Case, Event, Facility, Revision, SpoolPosition

WAY: dict[State, tuple[Step, ...]] = {
    State.RECEIVING: (),
    State.QUEUED: (Step.CLOSE,),
    State.ANALYSING: (Step.CLOSE, Step.BEGIN_ANALYSIS),
    State.COMPOSING: (Step.CLOSE, Step.BEGIN_ANALYSIS, Step.FINISH_ANALYSIS),
    State.DELIVERING: (Step.CLOSE, Step.BEGIN_ANALYSIS, Step.FINISH_ANALYSIS, Step.FINISH_COMPOSING),
    State.REJECTED: (Step.REJECT,),
    State.HELD: (Step.HOLD,),
    State.CANCELLED: (Step.CANCEL,),
    State.SUPERSEDED: (Step.CANCEL, Step.SUPERSEDE),
}
WAY[State.CONFIRMED] = (*WAY[State.DELIVERING], Step.CONFIRM)
WAY[State.UNCONFIRMED] = (*WAY[State.DELIVERING], Step.END_UNCONFIRMED)


@pytest.fixture
def open_revision(database: Database, now: datetime) -> Callable[[], int]:
    """Open a revision of one case and return its id."""

    def work(tx: Session) -> int:
        case_id = tx.scalar(select(Case.id).where(Case.study_instance_uid == "1.2.3"))
        if case_id is None:
            tx.add(Facility(name="clinic"))
            tx.flush()
            case = Case(facility_id=1, study_instance_uid="1.2.3", created_at=now)
            tx.add(case)
            tx.flush()
            case_id = case.id
        return cases.open_revision(tx, case_id, Arrivals(first_at=now, last_at=now), actor="filing", now=now)

    return lambda: database.transaction(work)


def state_of(tx: Session, revision_id: int) -> State:
    return tx.get_one(Revision, revision_id).state


def step(database: Database, revision_id: int, *steps: Step, now: datetime) -> State:
    def work(tx: Session) -> State:
        for one in steps:
            cases.take(tx, revision_id, one, actor="test", now=now)
        return state_of(tx, revision_id)

    return database.transaction(work)


@pytest.mark.server
def test_every_step_of_the_table_is_taken_and_every_other_refused(
    database: Database, open_revision: Callable[[], int], now: datetime
) -> None:
    revision_id = open_revision()
    for state, one in product(State, Step):
        with database.engine.connect() as connection, Session(connection) as tx:
            for before in WAY[state]:
                cases.take(tx, revision_id, before, actor="test", now=now)
            assert state_of(tx, revision_id) is state
            if one in TRANSITIONS[state]:
                assert cases.take(tx, revision_id, one, actor="test", now=now) is TRANSITIONS[state][one]
                event = tx.scalars(select(Event).order_by(Event.id.desc()).limit(1)).one()
                assert (event.from_state, event.step, event.to_state) == (state, one, TRANSITIONS[state][one])
                tx.execute(text("SET CONSTRAINTS ALL IMMEDIATE"))
            else:
                with pytest.raises(ForbiddenStep):
                    cases.take(tx, revision_id, one, actor="test", now=now)
                assert state_of(tx, revision_id) is state


@pytest.mark.server
def test_sql_typed_by_hand_takes_the_same_steps_and_no_other(
    ledger_url: str, database: Database, open_revision: Callable[[], int], now: datetime
) -> None:
    revision_id = open_revision()
    change = (
        "UPDATE revisions SET state = %s, held_in = CASE WHEN %s = 'held' THEN 'receiving' END WHERE id = %s"
    )
    with psycopg.connect(ledger_url) as connection:
        for before, after in product(State, State):
            with Session(database.engine) as tx, tx.begin() as outer:
                for one in WAY[before]:
                    cases.take(tx, revision_id, one, actor="test", now=now)
                raw = tx.connection().connection.driver_connection
                assert raw is not None
                if after in TRANSITIONS[before].values() or after is before:
                    raw.execute(change, (after, after, revision_id))
                else:
                    with pytest.raises(errors.CheckViolation, match=f"that is {before} cannot become {after}"):
                        raw.execute(change, (after, after, revision_id))
                outer.rollback()
        assert connection.execute("SELECT state FROM revisions").fetchall() == [("receiving",)]


@pytest.mark.server
def test_an_event_of_a_step_that_the_table_does_not_know_is_refused(
    ledger_url: str, open_revision: Callable[[], int]
) -> None:
    revision_id = open_revision()
    insert = (
        "INSERT INTO events (revision_id, from_state, step, to_state, actor, detail, at) "
        "VALUES (%s, %s, %s, %s, 'me', '', now())"
    )
    allowed = {(before, one, after) for before, steps in TRANSITIONS.items() for one, after in steps.items()}
    with psycopg.connect(ledger_url, autocommit=True) as connection:
        for row in product(State, Step, State):
            if row not in allowed:
                with pytest.raises(errors.ForeignKeyViolation):
                    connection.execute(insert, (revision_id, *row))
        for opening in ((None, None, "queued"), (None, "close", "queued"), ("receiving", None, "receiving")):
            with pytest.raises(errors.CheckViolation):
                connection.execute(insert, (revision_id, *opening))


@pytest.mark.server
def test_a_state_that_changes_without_an_event_does_not_commit(ledger_url: str, open_revision: Callable[[], int]) -> None:
    revision_id = open_revision()
    connection = psycopg.connect(ledger_url)
    connection.execute("UPDATE revisions SET state = 'cancelled' WHERE id = %s", (revision_id,))
    with pytest.raises(errors.CheckViolation, match="became cancelled without an event"):
        connection.commit()
    connection.close()


@pytest.mark.server
def test_a_revision_opens_in_receiving_with_the_next_number(ledger_url: str, open_revision: Callable[[], int]) -> None:
    open_revision()
    insert = (
        "INSERT INTO revisions (case_id, number, state, first_received_at, last_received_at, held_in) "
        "VALUES (1, %s, %s, now(), now(), NULL)"
    )
    with psycopg.connect(ledger_url, autocommit=True) as connection:
        with pytest.raises(errors.CheckViolation, match="opens in receiving, not in confirmed"):
            connection.execute(insert, (2, "confirmed"))
        with pytest.raises(errors.CheckViolation, match="revision 3 does not follow"):
            connection.execute(insert, (3, "receiving"))
        with pytest.raises(errors.CheckViolation, match="keeps its case and its number"):
            connection.execute("UPDATE revisions SET number = 9")


@pytest.mark.server
def test_a_case_has_one_receiving_revision_at_a_time(open_revision: Callable[[], int]) -> None:
    open_revision()
    with pytest.raises(IntegrityError, match="revisions_one_receiving_idx"):
        open_revision()


@pytest.mark.server
def test_the_next_revision_has_the_next_number(
    database: Database, open_revision: Callable[[], int], now: datetime
) -> None:
    first = open_revision()
    step(database, first, Step.CANCEL, now=now)
    second = open_revision()
    numbers = database.transaction(lambda tx: [(row.id, row.number) for row in cases.revisions_of(tx, 1)])
    assert numbers == [(second, 2), (first, 1)]


@pytest.mark.server
def test_a_held_revision_says_where_and_why_until_it_goes_on(
    database: Database, open_revision: Callable[[], int], now: datetime
) -> None:
    revision_id = open_revision()
    step(database, revision_id, Step.CLOSE, Step.BEGIN_ANALYSIS, now=now)
    database.transaction(
        lambda tx: cases.take(tx, revision_id, Step.HOLD, actor="analyse", reason=TWO_PATIENTS, detail="2 rows", now=now)
    )
    row = database.transaction(lambda tx: cases.revisions_of(tx, 1)[0])
    assert (row.held_in, row.reason_code, row.reason_detail) == (State.ANALYSING, "two_patients", "2 rows")
    step(database, revision_id, Step.RETRY_ANALYSIS, now=now)
    row = database.transaction(lambda tx: cases.revisions_of(tx, 1)[0])
    assert (row.held_in, row.reason_code, row.reason_detail) == (None, None, None)


@pytest.mark.server
def test_every_step_leaves_an_event_with_its_actor_and_reason(
    database: Database, open_revision: Callable[[], int], now: datetime
) -> None:
    revision_id = open_revision()
    later = now + timedelta(minutes=1)
    database.transaction(
        lambda tx: cases.take(tx, revision_id, Step.HOLD, actor="clock", reason=TWO_PATIENTS, detail="x", now=later)
    )
    told = database.transaction(lambda tx: [
        (one.from_state, one.step, one.to_state, one.actor, one.reason_code, one.detail, one.at)
        for one in tx.scalars(select(Event).order_by(Event.id))
    ])
    assert told == [
        (None, None, State.RECEIVING, "filing", None, "", now),
        (State.RECEIVING, Step.HOLD, State.HELD, "clock", "two_patients", "x", later),
    ]


@pytest.mark.server
def test_what_the_caller_set_on_the_revision_is_kept_by_the_step(
    database: Database, open_revision: Callable[[], int], now: datetime
) -> None:
    revision_id = open_revision()

    def work(tx: Session) -> None:
        row = tx.get(Revision, revision_id)
        assert row is not None
        row.attempts = 3
        cases.take(tx, revision_id, Step.CANCEL, actor="test", now=now)

    database.transaction(work)
    assert database.transaction(lambda tx: cases.revisions_of(tx, 1)[0].attempts) == 3


@pytest.mark.server
def test_closing_gives_the_hash_the_reason_and_the_time_of_the_study(
    database: Database, open_revision: Callable[[], int], now: datetime
) -> None:
    revision_id = open_revision()
    complete = Complete(reason=CloseReason.CAP, at=now + timedelta(minutes=5))
    after = database.transaction(lambda tx: cases.close(tx, revision_id, complete, actor="clock", now=now))
    row = database.transaction(lambda tx: cases.revisions_of(tx, 1)[0])
    assert after is State.QUEUED
    assert (row.hash, row.close_reason, row.closed_at) == (revision_hash([]), CloseReason.CAP, complete.at)


@pytest.mark.server
def test_a_revision_that_is_not_there_is_named(database: Database, now: datetime) -> None:
    with pytest.raises(LookupError, match="no revision 77"):
        step(database, 77, Step.CANCEL, now=now)


@pytest.mark.server
def test_two_writers_of_one_revision_wait_for_one_another(
    database: Database, open_revision: Callable[[], int], now: datetime
) -> None:
    revision_id = open_revision()
    with Session(database.engine) as first, Session(database.engine) as second:
        cases.take(first, revision_id, Step.CLOSE, actor="one", now=now)
        second.execute(text("SET lock_timeout = '200ms'"))
        with pytest.raises(Exception, match="lock timeout"):
            cases.take(second, revision_id, Step.CANCEL, actor="two", now=now)
        first.commit()
        second.rollback()
        assert cases.take(second, revision_id, Step.BEGIN_ANALYSIS, actor="two", now=now) is State.ANALYSING


@pytest.mark.server
@pytest.mark.parametrize(
    ("marks", "expected"),
    [([], None), ([None], None), ([5], 5), ([5, 3, 9], 3), ([5, None], None)],
)
def test_the_spool_is_drained_as_far_as_the_slowest_listener(
    database: Database, now: datetime, marks: list[int | None], expected: int | None
) -> None:
    def work(tx: Session) -> datetime | None:
        for index, mark in enumerate(marks):
            at = None if mark is None else now + timedelta(seconds=mark)
            tx.add(SpoolPosition(listener=f"listener-{index}", segment=0, offset=0, drained_at=at))
        tx.flush()
        return cases.drained_until(tx)

    assert database.transaction(work) == (None if expected is None else now + timedelta(seconds=expected))


def test_nothing_but_take_and_the_opening_writes_a_revisions_state() -> None:
    """Reads the syntax tree of the whole package: assignments to `.state`, `state=` in the row's constructor or in
    `values(...)`, and SQL texts."""
    package = Path(derm_pacs.__file__).parent
    writers = {
        f"{path.relative_to(package)}:{function}"
        for path in sorted(package.rglob("*.py"))
        for function, node in _nodes(ast.parse(path.read_text(encoding="utf-8")))
        if _writes_state(node)
    }
    allowed_for_deliveries = {writer for writer in writers if writer.startswith("ledger/deliveries.py:")}
    assert writers - allowed_for_deliveries == {"ledger/cases.py:take", "ledger/cases.py:open_revision"}


def test_the_reading_of_the_syntax_tree_finds_what_it_is_for() -> None:
    for source in (
        "row.state = State.HELD",
        "row.state, row.x = a, b",
        "setattr(row, 'state', x)",
        "tx.execute(update(Revision).values(state='held'))",
        "Revision(case_id=1, state=State.HELD)",
        "tx.execute(text('UPDATE revisions SET state = 1'))",
    ):
        assert any(_writes_state(node) for _, node in _nodes(ast.parse(source))), source
    for source in ("row.status = 1", "x = row.state", "Event(to_state=x)", "f(state=1)", "self.state = 1"):
        assert not any(_writes_state(node) for _, node in _nodes(ast.parse(source))), source


def _nodes(tree: ast.AST, function: str = "") -> list[tuple[str, ast.AST]]:
    found: list[tuple[str, ast.AST]] = []
    for child in ast.iter_child_nodes(tree):
        name = child.name if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) else function
        found.append((name, child))
        found.extend(_nodes(child, name))
    return found


def _writes_state(node: ast.AST) -> bool:
    match node:
        case ast.Attribute(value=ast.Name(id="self"), attr="state"):
            return False
        case ast.Attribute(attr="state", ctx=ast.Store()):
            return True
        case ast.Call(func=ast.Name(id="setattr"), args=[_, ast.Constant(value="state"), *_]):
            return True
        case ast.Call(func=ast.Name(id="Revision") | ast.Attribute(attr="values" | "Revision"), keywords=keywords):
            return any(keyword.arg == "state" for keyword in keywords)
        case ast.Constant(value=str(value)):
            return "update revisions" in " ".join(value.lower().split())
        case _:
            return False

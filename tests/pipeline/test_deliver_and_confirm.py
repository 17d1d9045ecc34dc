"""Deliveries and their proof on the real ledger, against a destination that is not there."""

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from derm_pacs.domain.case import State
from derm_pacs.domain.delivery import DeliveryState
from derm_pacs.domain.reasons import DEADLINE, DESTINATION_GONE, PEER_AWAY
from derm_pacs.ledger import deliveries
from derm_pacs.ledger.database import Database
from derm_pacs.ledger.result_tables import DeliveredObject, DeliveryRow, ResultRow
from derm_pacs.ledger.tables import Revision
from derm_pacs.pipeline import compose_edition, deliver, person, queue
from derm_pacs.pipeline.conclude import conclude
from derm_pacs.pipeline.queue import Task
from derm_pacs.pipeline.retry import DEFECT_TRIES
from derm_pacs.pipeline.stage import run
from derm_pacs.pipeline.trying_delivery import taken_on
from tests.pipeline import ledger_rows
from tests.pipeline.ledger_rows import NOW

pytestmark = pytest.mark.server


def test_only_the_newest_request_for_commitment_can_be_overdue(database: Database) -> None:
    """An old one that was never answered must not make the clock ask every few seconds."""

    def work(tx: Session) -> list[tuple[int, ...]]:
        made = ledger_rows.delivery(tx, ledger_rows.revision(tx, State.DELIVERING), "pacs", DeliveryState.SENT)
        deliveries.begin_commitment(tx, made, now=NOW, deadline=NOW + timedelta(minutes=10))
        deliveries.begin_commitment(tx, made, now=NOW, deadline=NOW + timedelta(minutes=20))
        tx.flush()
        return [deliveries.overdue(tx, NOW + timedelta(minutes=minutes)) for minutes in (9, 11, 19)] + [
            deliveries.overdue(tx, NOW + timedelta(minutes=21))[:1]
        ]

    *before, after = database.transaction(work)
    assert before == [(), (), ()]
    assert len(after) == 1


def test_an_error_while_a_job_is_claimed_counts_as_a_try_and_ends_in_held(database: Database, tmp_path: Path) -> None:
    """The ledger's row cannot be read: without the count the job would come again for ever."""
    site = ledger_rows.site(database, tmp_path)

    def prepare(tx: Session) -> tuple[int, int]:
        revision_id = ledger_rows.revision(tx, State.DELIVERING)
        ledger_rows.finding(tx, revision_id)
        made = ledger_rows.delivery(tx, revision_id, "pacs")
        tx.get_one(DeliveryRow, made).edition = "no edition"
        return revision_id, made

    revision_id, delivery_id = database.transaction(prepare)
    for tries in range(DEFECT_TRIES):
        assert database.transaction(lambda tx: ledger_rows.state_of(tx, revision_id)) is State.DELIVERING, tries
        run(compose_edition.STAGE, delivery_id, site)
    assert database.transaction(lambda tx: ledger_rows.state_of(tx, revision_id)) is State.HELD


def test_a_destination_that_has_gone_from_the_settings_is_named_as_such(database: Database, tmp_path: Path) -> None:
    """At once and in words on which a person can act."""
    site = ledger_rows.site(database, tmp_path)

    def prepare(tx: Session) -> tuple[int, int]:
        revision_id = ledger_rows.revision(tx, State.DELIVERING)
        ledger_rows.finding(tx, revision_id)
        return revision_id, ledger_rows.delivery(tx, revision_id, "gone")

    revision_id, delivery_id = database.transaction(prepare)
    run(deliver.STAGE, delivery_id, site)

    def look(tx: Session) -> tuple[State, str | None, str | None]:
        row = tx.get_one(DeliveryRow, delivery_id)
        return ledger_rows.state_of(tx, revision_id), row.reason_code, row.reason_detail

    assert database.transaction(look) == (State.HELD, DESTINATION_GONE.code, "no destination of the settings is named gone")


def test_a_retry_of_a_refused_delivery_sends_everything_again(database: Database, tmp_path: Path) -> None:
    """The destination may have said that it did not keep what it acknowledged."""
    site = ledger_rows.site(database, tmp_path)

    def prepare(tx: Session) -> tuple[int, int]:
        revision_id = ledger_rows.revision(tx, State.DELIVERING)
        ledger_rows.finding(tx, revision_id)
        made = ledger_rows.delivery(tx, revision_id, "pacs", DeliveryState.SENT)
        result = ResultRow(
            revision_id=revision_id, form="report_sr", sop_class_uid="1.2", sop_instance_uid="1.2.9",
            series_instance_uid="1.2.8", transfer_syntax_uid="1.2.7", sha256="0" * 64, length=1, about=[], composed_at=NOW,
        )
        tx.add(result)
        tx.flush()
        deliveries.note_delivered(tx, made, {result.id: 0}, NOW)
        deliveries.begin_commitment(tx, made, now=NOW, deadline=NOW)
        row = deliveries.locked(tx, made)
        assert row is not None
        deliveries.move(row, DeliveryState.REFUSED, now=NOW)
        tx.flush()
        conclude(tx, revision_id, site)
        return tx.get_one(Revision, revision_id).case_id, made

    case_id, made = database.transaction(prepare)
    person.retry(database, case_id, actor="admin", reason="mended", now=NOW)

    def look(tx: Session) -> tuple[DeliveryState, bool, bool, bool]:
        row = tx.get_one(DeliveryRow, made)
        return (
            row.state,
            bool(deliveries.delivered(tx, made)),
            bool(deliveries.commitments(tx, made)),
            made in queue.live_subjects(tx, Task.DELIVER),
        )

    assert database.transaction(look) == (DeliveryState.PENDING, False, False, True)
    assert database.transaction(lambda tx: tx.query(DeliveredObject).count()) == 0


def test_cancelling_a_case_stops_its_earlier_revisions_too(database: Database) -> None:
    def prepare(tx: Session) -> tuple[int, int, int]:
        first = ledger_rows.revision(tx, State.DELIVERING)
        case_id = tx.get_one(Revision, first).case_id
        return case_id, first, ledger_rows.revision(tx, State.QUEUED, case_id=case_id)

    case_id, first, second = database.transaction(prepare)
    assert person.cancel(database, case_id, actor="admin", reason="sent by mistake", now=NOW) is State.CANCELLED
    assert [database.transaction(lambda tx, one=one: ledger_rows.state_of(tx, one)) for one in (first, second)] == [  # type: ignore[misc]
        State.CANCELLED, State.CANCELLED,
    ]


def test_a_delivery_whose_tries_are_killed_after_an_error_ends_at_its_deadline(database: Database, tmp_path: Path) -> None:
    """Once an error was noted, tries that end without a word no longer count as such; the deadline ends them."""
    site = ledger_rows.site(database, tmp_path)

    def prepare(tx: Session) -> tuple[int, int]:
        revision_id = ledger_rows.revision(tx, State.DELIVERING)
        ledger_rows.finding(tx, revision_id)
        made = ledger_rows.delivery(tx, revision_id, "pacs")
        row = deliveries.locked(tx, made)
        assert row is not None
        row.attempts, row.first_attempt_at = 20, NOW - site.deadline - timedelta(minutes=1)
        row.reason_code, row.reason_detail = PEER_AWAY.code, "pacs: nobody answers"
        return revision_id, made

    revision_id, made = database.transaction(prepare)
    # What a worker does that is killed before it can settle: nothing but the claim is committed.
    assert database.transaction(lambda tx: taken_on(tx, made, DeliveryState.PENDING, site)) is None

    def look(tx: Session) -> tuple[State, str | None, str | None]:
        row = tx.get_one(DeliveryRow, made)
        return ledger_rows.state_of(tx, revision_id), row.reason_code, row.reason_detail

    assert database.transaction(look) == (State.HELD, DEADLINE.code, "pacs: nobody answers")


@pytest.mark.parametrize(("tries", "state"), [(15, DeliveryState.PENDING), (16, DeliveryState.REFUSED)])
def test_a_delivery_whose_process_dies_at_every_try_is_refused_after_many(
    database: Database, tmp_path: Path, tries: int, state: DeliveryState
) -> None:
    site = ledger_rows.site(database, tmp_path)

    def work(tx: Session) -> tuple[DeliveryState, str | None]:
        revision_id = ledger_rows.revision(tx, State.DELIVERING)
        ledger_rows.finding(tx, revision_id)
        made = ledger_rows.delivery(tx, revision_id, "pacs")
        for _ in range(tries + 1):
            taken_on(tx, made, DeliveryState.PENDING, site)
        row = tx.get_one(DeliveryRow, made)
        return row.state, row.reason_detail

    found, detail = database.transaction(work)
    assert found is state
    assert (detail or "").endswith("without a word" if state is DeliveryState.REFUSED else "")

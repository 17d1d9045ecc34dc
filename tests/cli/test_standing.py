"""`derm-pacs status`, `clock` and `audit verify`: how the service stands."""

import json
import os
from datetime import UTC, datetime, timedelta

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.orm import Session

from derm_pacs.cli.clock import next_run
from derm_pacs.cli.exit_codes import ExitCode
from derm_pacs.cli.status import confinement_notes
from derm_pacs.domain.reasons import PEER_AWAY
from derm_pacs.ledger import audit, faults
from derm_pacs.ledger.tables import ClockRun
from derm_pacs.operations.clock import TICKS
from derm_pacs.spool.journal import Journal
from derm_pacs.spool.record import RecordHeader

from .conftest import NOW, Installation


@pytest.mark.server
def test_an_installation_at_rest_says_so(installation: Installation) -> None:
    said = installation.run("status")
    assert said.status == ExitCode.OK, said.talk
    for part in ("no supervisor runs", "nothing filed yet", "Cases: none", "Queue: none", "Faults: none"):
        assert part in said.out


@pytest.mark.server
def test_status_tells_filing_cases_processes_and_faults(held: Installation) -> None:
    held.database.transaction(lambda tx: faults.open(tx, "peer:pacs", PEER_AWAY, "127.0.0.1:4242", NOW))
    _append(held, b"not filed")
    held.settings.run_dir.mkdir()
    (held.settings.run_dir / "processes.json").write_text(json.dumps({"supervisor": os.getpid(), "worker-0": 2**22 + 1}))
    value = held.run("status", "--json").value
    assert value["ledger"]["cases"] == {"held": 1}
    assert value["ledger"]["filing"][0]["listener"] == "listener-0"
    assert value["ledger"]["filing"][0]["drained_at"] == "2026-03-01T12:00:00Z"
    assert value["unfiled_bytes"]["listener-0"] > len(b"not filed")
    assert value["processes"] == {"supervisor": os.getpid()}
    assert value["running"] is True
    said = held.run("status").out
    assert "Fault since 2026-03-01 13:00:00 CET: peer:pacs: The destination does not answer." in said
    assert f"Remedy (admin): {PEER_AWAY.remedy}" in said


def _append(here: Installation, payload: bytes) -> None:
    with Journal(here.settings.spool_dir / "listener-0", segment_bytes=1 << 20, reserve_bytes=0) as journal:
        journal.append(RecordHeader(kind="commitment_report", calling_ae="X", called_ae="Y", received_at=NOW), [payload])


def test_a_kernel_without_landlock_is_told() -> None:
    assert confinement_notes(4) == ()
    assert "no Landlock" in confinement_notes(0)[0]


@pytest.mark.server
def test_the_clock_shows_every_tick_with_its_last_and_next_run(installation: Installation) -> None:
    def ran(tx: Session) -> None:
        tx.add(ClockRun(name="close", due_at=NOW, ran_at=NOW, note="2 closed"))
        tx.add(ClockRun(name="close", due_at=NOW - timedelta(seconds=1), ran_at=NOW, note="older"))

    installation.database.transaction(ran)
    before = datetime.now(UTC)
    shown = {one["name"]: one for one in installation.run("clock", "--json").value}
    assert list(shown) == [tick.name for tick in TICKS]
    assert (shown["close"]["note"], shown["close"]["last_at"]) == ("2 closed", "2026-03-01T12:00:00Z")
    assert shown["retention"]["last_at"] is None
    for tick in TICKS:
        assert before < datetime.fromisoformat(shown[tick.name]["next_at"]) < datetime.now(UTC) + tick.every
        assert tick.meaning in installation.run("clock").out


@hypothesis.settings(deadline=None)  # a busy machine is no failure
@given(st.integers(1, 86400), st.datetimes(datetime(2020, 1, 1), datetime(2100, 1, 1)))  # noqa: DTZ001 - made aware below
def test_the_next_run_is_after_now_and_at_most_one_interval_away(seconds: int, naive: datetime) -> None:
    now = naive.replace(tzinfo=UTC, microsecond=0)
    following = next_run(timedelta(seconds=seconds), now)
    assert now < following <= now + timedelta(seconds=seconds)
    assert following.timestamp() % seconds == 0


@pytest.mark.server
def test_a_whole_audit_trail_is_told_with_its_last_hash(installation: Installation) -> None:
    installation.database.transaction(_two_rows)
    value = installation.run("audit", "verify", "--json").value
    assert (value["whole"], value["found"]["rows"]) == (True, 2)
    assert value["found"]["last_hash"] in installation.run("audit", "verify").out


@pytest.mark.server
def test_a_changed_row_of_the_audit_trail_is_named(installation: Installation) -> None:
    installation.database.transaction(_two_rows)
    installation.database.transaction(_tamper)
    said = installation.run("audit", "verify")
    assert said.status == ExitCode.FAILED
    assert "the audit trail is broken: row 2 was changed after it was written" in said.talk
    assert installation.run("audit", "verify", "--json").value["whole"] is False


def _two_rows(tx: Session) -> None:
    for number in (1, 2):
        audit.append(tx, actor="anna", action="test", subject=f"row {number}", reason="a test", detail={}, now=NOW)


def _tamper(tx: Session) -> None:
    tx.execute(text("SET LOCAL session_replication_role = replica"))  # past the trigger that refuses it
    tx.execute(text("UPDATE audit SET actor = 'bert' WHERE id = 2"))

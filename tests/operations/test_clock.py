"""The clock: one leader, another when it dies, no tick twice."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.orm import Session

from derm_pacs.operations.clock import TICKS, Tick, run_tick
from derm_pacs.settings.model import Settings

pytestmark = pytest.mark.server

CLOCK = """
import signal, sys, threading
from pathlib import Path
from derm_pacs.operations import clock
from derm_pacs.settings.model import Settings
stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
clock.run(Settings(data_dir=Path(sys.argv[2])), sys.argv[1], stop)
"""


@pytest.fixture
def start_clock(ledger_url: str, tmp_path: Path) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    (tmp_path / "spool").mkdir()
    started: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen([sys.executable, "-c", CLOCK, ledger_url, str(tmp_path)]))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def leader(connection: psycopg.Connection[tuple[object, ...]]) -> int | None:
    row = connection.execute(
        "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND database = "
        "(SELECT oid FROM pg_database WHERE datname = current_database())"
    ).fetchone()
    return int(str(row[0])) if row else None


def wait_until(condition: Callable[[], bool], within: float = 20.0) -> None:
    end = time.monotonic() + within
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)  # the state of a database cannot be awaited otherwise


def test_another_clock_leads_when_the_leader_is_killed(
    ledger_url: str, start_clock: Callable[[], subprocess.Popen[bytes]]
) -> None:
    with psycopg.connect(ledger_url, autocommit=True) as connection:
        first = start_clock()
        wait_until(lambda: leader(connection) is not None)
        led_by = leader(connection)
        start_clock()
        first.kill()
        first.wait()
        wait_until(lambda: leader(connection) not in (None, led_by))
        before = datetime.now(UTC)
        wait_until(
            lambda: connection.execute("SELECT 1 FROM clock_runs WHERE name = 'close' AND ran_at > %s", (before,)).fetchone()
            is not None
        )


def test_a_clock_that_lost_its_connection_stands_for_election_again(
    ledger_url: str, start_clock: Callable[[], subprocess.Popen[bytes]]
) -> None:
    with psycopg.connect(ledger_url, autocommit=True) as connection:
        clock = start_clock()
        wait_until(lambda: leader(connection) is not None)
        lost = leader(connection)
        connection.execute("SELECT pg_terminate_backend(%s)", (lost,))
        wait_until(lambda: leader(connection) not in (None, lost))
        assert clock.poll() is None
        clock.send_signal(signal.SIGTERM)
        assert clock.wait(20) == 0


def test_a_tick_that_is_due_once_runs_once(ledger_url: str, tmp_path: Path) -> None:
    ran: list[int] = []

    def work(tx: Session, settings: Settings, url: str) -> str:
        ran.append(1)
        return "done"

    tick = Tick(name="probe", every=timedelta(seconds=10), meaning="", work=work)
    engine = create_engine(make_url(ledger_url).set(drivername="postgresql+psycopg"))
    now = datetime(2026, 1, 1, 12, 0, 3, tzinfo=UTC)
    with engine.connect() as connection:
        settings = Settings(data_dir=tmp_path)
        assert run_tick(connection, tick, settings, ledger_url, now)
        assert not run_tick(connection, tick, settings, ledger_url, now + timedelta(seconds=5))
        assert run_tick(connection, tick, settings, ledger_url, now + timedelta(seconds=10))
        assert len(ran) == 2
        rows = connection.execute(text("SELECT note FROM clock_runs WHERE name = 'probe'")).scalars().all()
    assert rows == ["done", "done"]


def test_a_tick_that_fails_leaves_no_trace_and_comes_again(ledger_url: str, tmp_path: Path) -> None:
    def fails(tx: Session, settings: Settings, url: str) -> str:
        tx.execute(text("INSERT INTO facilities (name) VALUES ('half done')"))
        raise RuntimeError

    tick = Tick(name="probe", every=timedelta(seconds=10), meaning="", work=fails)
    engine = create_engine(make_url(ledger_url).set(drivername="postgresql+psycopg"))
    with engine.connect() as connection:
        with pytest.raises(RuntimeError):
            run_tick(connection, tick, Settings(data_dir=tmp_path), ledger_url, datetime.now(UTC))
        assert connection.execute(text("SELECT count(*) FROM facilities")).scalar_one() == 0
        assert connection.execute(text("SELECT count(*) FROM clock_runs")).scalar_one() == 0


def test_every_tick_runs_on_an_empty_ledger(ledger_url: str, tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir()
    engine = create_engine(make_url(ledger_url).set(drivername="postgresql+psycopg"))
    with engine.connect() as connection:
        for tick in TICKS:
            assert run_tick(connection, tick, Settings(data_dir=tmp_path), ledger_url, datetime.now(UTC))

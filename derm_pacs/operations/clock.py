"""The clock: all that time brings, led by one process; the only caller of APScheduler.

Every clock process asks for one advisory lock of the database; who holds it leads. A tick is one transaction on the
connection that holds the lock, so a leader that lost the lock cannot write, and the key of `clock_runs` keeps a tick
from running twice: correctness never rests on leadership.
"""

import logging
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.interval import IntervalTrigger
from sqlalchemy import Connection, create_engine, delete, make_url, pool, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from derm_pacs.domain.reasons import DISK_RESERVE
from derm_pacs.ledger import deliveries, faults
from derm_pacs.ledger.tables import ClockRun
from derm_pacs.operations.retain import retain
from derm_pacs.pipeline import queue
from derm_pacs.pipeline.close import close_quiet
from derm_pacs.pipeline.queue import Task
from derm_pacs.pipeline.rescue import defer_forgotten
from derm_pacs.pipeline.site import utc_now
from derm_pacs.settings.model import Settings

_LOG = logging.getLogger(__name__)
_LOCK = 0x6465726D  # "derm"
_ELECTION_SECONDS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """Something that time brings."""

    name: str
    every: timedelta
    meaning: str
    work: Callable[[Session, Settings, str], str]
    """Gets the tick's transaction, the settings and the database's URL; returns what it did, in words."""


def _close(tx: Session, settings: Settings, url: str) -> str:
    del url
    return f"{close_quiet(tx, settings.study.quiet())} closed"


def _rescue(tx: Session, settings: Settings, url: str) -> str:
    del settings
    stalled = queue.rescue_stalled(url)
    return f"{stalled} stalled, {defer_forgotten(tx, utc_now())} forgotten"


def _commitments(tx: Session, settings: Settings, url: str) -> str:
    del settings, url
    live = queue.live_subjects(tx, Task.CONFIRM)
    overdue = [one for one in deliveries.overdue(tx, utc_now()) if one not in live]
    for delivery_id in overdue:
        queue.defer(tx, Task.CONFIRM, delivery_id)
    return f"{len(overdue)} overdue"


def _disk(tx: Session, settings: Settings, url: str) -> str:
    del url
    free = shutil.disk_usage(settings.spool_dir).free
    reserve = settings.spool.disk_reserve_megabytes * 1_000_000
    if free < reserve:
        faults.open(tx, "disk_reserve", DISK_RESERVE, f"{free} bytes free, reserve {reserve}", utc_now())
    else:
        faults.clear(tx, "disk_reserve", utc_now())
    return f"{free} bytes free"


def _retention(tx: Session, settings: Settings, url: str) -> str:
    del url
    return retain(tx, settings, utc_now())


TICKS: tuple[Tick, ...] = (
    Tick(name="close", every=timedelta(seconds=1), meaning="Closes studies in which nothing new arrived.", work=_close),
    Tick(name="commitments", every=timedelta(seconds=5), meaning="Asks again where a report is overdue.", work=_commitments),
    Tick(name="rescue", every=timedelta(seconds=5), meaning="Brings back jobs whose worker died.", work=_rescue),
    Tick(name="disk", every=timedelta(seconds=30), meaning="Watches the disk reserve of the spool.", work=_disk),
    Tick(name="retention", every=timedelta(hours=1), meaning="Deletes what has passed its time.", work=_retention),
)
"""All that time brings, in one list."""


def run(settings: Settings, url: str, stop: threading.Event) -> None:
    """Stand for election, lead while the lock is held, and stand again when it is lost, until `stop` is set."""
    engine = create_engine(
        make_url(url).set(drivername="postgresql+psycopg"), poolclass=pool.NullPool, hide_parameters=True, connect_args={"connect_timeout": 5}
    )
    while not stop.is_set():
        try:
            with engine.connect() as connection:
                _stand(connection, settings, url, stop)
        except DBAPIError as error:
            _LOG.warning("the clock lost the database: %s", type(error.orig).__name__)
            stop.wait(_ELECTION_SECONDS)


def _stand(connection: Connection, settings: Settings, url: str, stop: threading.Event) -> None:
    while not stop.is_set():
        with connection.begin():
            elected = bool(connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": _LOCK}).scalar_one())
        if elected:
            _lead(connection, settings, url, stop)
            return
        stop.wait(_ELECTION_SECONDS)


def _lead(connection: Connection, settings: Settings, url: str, stop: threading.Event) -> None:
    """Run the ticks until `stop` is set or the connection is lost; one thread uses the connection."""
    _LOG.info("this process leads the clock")
    lost = threading.Event()
    scheduler = BackgroundScheduler(
        timezone=UTC,
        executors={"default": ThreadPoolExecutor(1)},
        job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": 30},
    )

    def beat(tick: Tick) -> None:
        if lost.is_set():
            return
        try:
            run_tick(connection, tick, settings, url, utc_now())
        except DBAPIError as error:
            if error.connection_invalidated or connection.invalidated or connection.closed:
                lost.set()
            _LOG.warning("tick %s failed: %s", tick.name, type(error.orig).__name__)
        except Exception:  # noqa: BLE001 a tick that fails is told and comes again; the others go on
            _LOG.exception("tick %s failed", tick.name)

    for tick in TICKS:
        trigger = IntervalTrigger(seconds=tick.every.total_seconds(), start_date=datetime(2000, 1, 1, tzinfo=UTC))
        scheduler.add_job(beat, trigger, args=[tick], id=tick.name)
    scheduler.start()
    try:
        while not stop.is_set() and not lost.is_set():
            stop.wait(0.2)
    finally:
        scheduler.shutdown(wait=True)


def run_tick(connection: Connection, tick: Tick, settings: Settings, url: str, now: datetime) -> bool:
    """Run a tick in one transaction, unless the run that is due now has been made; returns whether it ran."""
    seconds = tick.every.total_seconds()
    due = datetime.fromtimestamp(now.timestamp() // seconds * seconds, UTC)
    with Session(connection) as tx, tx.begin():
        # Ticks of a time that has not come: the machine's clock was ahead. They would keep this one from running.
        tx.execute(delete(ClockRun).where(ClockRun.name == tick.name, ClockRun.due_at > now))
        taken = tx.execute(
            insert(ClockRun).values(name=tick.name, due_at=due, ran_at=now, note="").on_conflict_do_nothing().returning(ClockRun.name)
        ).one_or_none()
        if taken is None:
            return False
        note = tick.work(tx, settings, url)
        row = tx.get_one(ClockRun, (tick.name, due))
        row.note = note
    return True

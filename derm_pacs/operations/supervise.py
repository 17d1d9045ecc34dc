"""`serve`: the database and the processes of the service, started, watched, brought back, stopped in order."""

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy.exc import OperationalError

from derm_pacs.domain.errors import Transient
from derm_pacs.ledger import migrate
from derm_pacs.operations import child, logs
from derm_pacs.operations.postgres import EmbeddedPostgres
from derm_pacs.operations.processes import Kind, plan
from derm_pacs.settings.model import Settings

_LOG = logging.getLogger(__name__)
_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 10.0
_HEALTHY_AFTER = 3.0
_WATCH_SECONDS = 0.1
_DATABASE_PATIENCE = 10.0
_DATABASE_PAUSE = 2.0
_STOP_ORDER = (Kind.LISTENER, Kind.FILING, Kind.CLOCK, Kind.WORKER)
_GRACE = {Kind.LISTENER: 30.0, Kind.FILING: 30.0, Kind.CLOCK: 10.0, Kind.WORKER: 60.0}


@dataclass(slots=True)
class _Watched:
    """One process of the service."""

    kind: Kind
    index: int
    arguments: Sequence[str]
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    pause: float = _FIRST_PAUSE
    not_before: float = field(default=0.0)

    @property
    def name(self) -> str:
        return f"{self.kind}-{self.index}"

    def start(self) -> None:
        self.process = child.start(self.arguments, when_parent_dies=signal.SIGKILL)
        self.started_at = time.monotonic()
        _LOG.info("%s started as process %d", self.name, self.process.pid)

    def look(self, now: float) -> bool:
        """Bring the process back if it has ended and its pause is over; returns whether something changed."""
        if self.process is not None:
            status = self.process.poll()
            if status is None:
                return False
            if now - self.started_at > _HEALTHY_AFTER:
                self.pause = _FIRST_PAUSE
            _LOG.warning("%s ended with status %d; started again in %.1f s", self.name, status, self.pause)
            self.process = None
            self.not_before = now + self.pause
            self.pause = min(self.pause * 2, _LONGEST_PAUSE)
            return True
        if now >= self.not_before:
            self.start()
            return True
        return False


def serve(settings: Settings, config: Path) -> None:
    """Run the whole service until SIGTERM or SIGINT; `config` is handed to the processes.

    The embedded database is migrated by itself; an external one is only looked at, and migrated by `derm-pacs migrate`.
    The listener does not wait for the database: what it takes lies in the spool until filing catches up.
    Raises `SchemaError` where that is due.
    """
    logs.set_up("supervisor")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    for folder in (settings.data_dir, settings.spool_dir, settings.results_dir, settings.bundles_dir, settings.run_dir):
        folder.mkdir(parents=True, exist_ok=True, mode=0o755 if folder == settings.data_dir else 0o700)
    settings.installation_uid()  # made once, before several processes ask for it
    url = settings.database_url()
    embedded = EmbeddedPostgres(settings.postgres_dir, run_as=settings.database.run_as) if url is None else None
    ledger = _Ledger(embedded, url)
    watched = [
        _Watched(
            kind=kind,
            index=index,
            arguments=[
                sys.executable, "-m", "derm_pacs", "serve", "--config", str(config), "--only", kind, "--index", str(index),
            ],
        )
        for kind, index in plan(settings)
    ]
    try:
        _watch(watched, ledger, settings, stop)
    finally:
        _stop_all(watched)
        if embedded is not None:
            embedded.stop()
        _process_list(settings).unlink(missing_ok=True)


class _Ledger:
    """The database as the supervisor sees it: brought up, migrated where it is ours, watched."""

    def __init__(self, embedded: EmbeddedPostgres | None, url: str | None) -> None:
        self._embedded = embedded
        self._url = url
        self._ready = False
        self._not_before = 0.0

    @property
    def pid(self) -> int | None:
        return self._embedded.pid if self._embedded is not None else None

    def is_ready(self, now: float) -> bool:
        """Bring the database up if it is down and its pause is over; returns whether it has answered.

        Once it was ready its clients wait for it by themselves. Raises `SchemaError` where a person must migrate.
        """
        down = self._embedded is not None and not self._embedded.is_running()
        if (down or not self._ready) and now >= self._not_before:
            try:
                self._bring_up()
                self._ready = True
            except (Transient, OperationalError) as error:
                _LOG.warning("the database is away; receiving goes on: %s", error)
                self._not_before = time.monotonic() + _DATABASE_PAUSE
        return self._ready

    def _bring_up(self) -> None:
        if self._embedded is not None:
            self._embedded.start(patience_seconds=_DATABASE_PATIENCE)
            if not self._ready:
                migrate.upgrade(self._embedded.url)
        elif self._url is not None:
            migrate.require_current(self._url)


def _watch(watched: Sequence[_Watched], ledger: _Ledger, settings: Settings, stop: threading.Event) -> None:
    """Keep the processes running; those that need the ledger begin when it has answered, the listeners at once."""
    database_pid = None
    while not stop.is_set():
        now = time.monotonic()
        changed = False
        for one in watched:
            if one.kind is Kind.LISTENER:
                changed = one.look(now) or changed
        if ledger.is_ready(now):
            for one in watched:
                if one.kind is not Kind.LISTENER:
                    changed = one.look(time.monotonic()) or changed
        if changed or ledger.pid != database_pid:
            database_pid = ledger.pid
            _write_process_list(settings, watched, database_pid)
        stop.wait(_WATCH_SECONDS)


def _stop_all(watched: Sequence[_Watched]) -> None:
    for kind in _STOP_ORDER:
        running = [one for one in watched if one.kind is kind and one.process is not None]
        for one in running:
            if one.process is not None and one.process.poll() is None:
                one.process.send_signal(signal.SIGTERM)
        for one in running:
            if one.process is not None:
                child.stop(one.process, first=signal.SIGTERM, grace_seconds=_GRACE[kind])
                _LOG.info("%s stopped", one.name)


def _process_list(settings: Settings) -> Path:
    return settings.run_dir / "processes.json"


def _write_process_list(settings: Settings, watched: Sequence[_Watched], database_pid: int | None) -> None:
    """Tell `status` which processes run: name to process id."""
    running = {one.name: one.process.pid for one in watched if one.process is not None}
    if database_pid is not None:
        running["postgres"] = database_pid
    running["supervisor"] = os.getpid()
    staging = _process_list(settings).with_suffix(".new")
    staging.write_text(json.dumps(running), encoding="ascii")
    staging.rename(_process_list(settings))

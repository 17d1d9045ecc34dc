"""What each process of the service does: the listener, filing, the worker, the clock."""

import logging
import signal
import threading
from collections.abc import Callable, Mapping
from enum import StrEnum

from derm_pacs.operations import logs
from derm_pacs.settings.model import Settings

_WORKER_THREADS = 4
"""Jobs of one worker at a time: a destination that hangs must not keep the others from working."""


class Kind(StrEnum):
    """The kinds of process."""

    LISTENER = "listener"
    FILING = "filing"
    WORKER = "worker"
    CLOCK = "clock"


def plan(settings: Settings) -> tuple[tuple[Kind, int], ...]:
    """Return the processes of the service, in the order in which they are started."""
    return (
        *((Kind.LISTENER, index) for index in range(settings.listener.processes)),
        (Kind.FILING, 0),
        *((Kind.WORKER, index) for index in range(settings.workers.processes)),
        (Kind.CLOCK, 0),
    )


def run_only(settings: Settings, kind: Kind, index: int) -> None:
    """Be one process of the service until SIGTERM or SIGINT."""
    logs.set_up(f"{kind}-{index}")
    _RUN[kind](settings, index)


def _stopping() -> threading.Event:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


def _listen(settings: Settings, index: int) -> None:
    # Imported here, so that a process loads only what it needs: the listener neither the database nor torch.
    from derm_pacs.receive import listener

    log = logging.getLogger(__name__)
    listener.run(settings, index=index, stop=_stopping(), ready=lambda: log.info("the listener takes associations"))


def _file(settings: Settings, index: int) -> None:
    from derm_pacs.ledger.database import Database
    from derm_pacs.operations.postgres import ledger_url
    from derm_pacs.pipeline import file

    del index
    file.run(settings, Database(ledger_url(settings)), _stopping())


def _work(settings: Settings, index: int) -> None:
    from derm_pacs.ledger.database import Database
    from derm_pacs.operations.postgres import ledger_url
    from derm_pacs.pipeline.queue import announced, run_worker
    from derm_pacs.pipeline.runners import Runners
    from derm_pacs.pipeline.site import Site
    from derm_pacs.pipeline.walk import tasks

    url = ledger_url(settings)
    runners = Runners(settings.analysis)
    site = Site(
        settings=settings, database=Database(url), installation_uid=settings.installation_uid(), runners=runners
    )
    try:
        with announced(url):
            run_worker(url, tasks(site), name=f"worker-{index}", concurrency=_WORKER_THREADS)
    finally:
        runners.close()


def _tick(settings: Settings, index: int) -> None:
    from derm_pacs.operations import clock
    from derm_pacs.operations.postgres import ledger_url

    del index
    clock.run(settings, ledger_url(settings), _stopping())


_RUN: Mapping[Kind, Callable[[Settings, int], None]] = {
    Kind.LISTENER: _listen,
    Kind.FILING: _file,
    Kind.WORKER: _work,
    Kind.CLOCK: _tick,
}

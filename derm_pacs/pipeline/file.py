"""File: what the listeners have put into the spool becomes rows of the ledger, and the jobs that follow from it."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from derm_pacs.domain.errors import Transient
from derm_pacs.domain.reasons import DEFECT, SPOOL_MISSING
from derm_pacs.ledger import faults, filing, retention
from derm_pacs.ledger.database import Database
from derm_pacs.pipeline import queue
from derm_pacs.pipeline.queue import Task
from derm_pacs.pipeline.site import utc_now
from derm_pacs.settings.model import Settings
from derm_pacs.spool import read
from derm_pacs.spool.read import DamagedRecord, Position, SpooledRecord

_LOG = logging.getLogger(__name__)
_BATCH_RECORDS = 64
_BATCH_BYTES = 64_000_000
_IDLE_SECONDS = 0.2
_AWAY_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Records that are filed in one transaction."""

    records: tuple[tuple[SpooledRecord, bytes], ...]
    next: Position
    """Where reading goes on."""
    drained: bool
    """Whether the spool's present end was reached."""
    damaged: DamagedRecord | None
    """The damaged place that ended the batch."""


def run(settings: Settings, database: Database, stop: threading.Event) -> None:
    """File until `stop` is set; with the database away, wait for it: the spool keeps everything meanwhile."""
    while not stop.is_set():
        try:
            facility_id = database.transaction(lambda tx: filing.ensure_facility(tx, settings.facility))
            while not stop.is_set():
                if not sum(file_new(settings, database, facility_id, name) for name in _listeners(settings, database)):
                    stop.wait(_IDLE_SECONDS)
        except Transient as error:
            _LOG.warning("filing waits: %s", error)
            stop.wait(_AWAY_SECONDS)


def _listeners(settings: Settings, database: Database) -> list[str]:
    """Return the listeners that have a spool, or had one: a position that stands still would keep studies open."""
    folders = {path.name for path in settings.spool_dir.iterdir()} if settings.spool_dir.is_dir() else set()
    return sorted(folders | set(database.transaction(retention.listeners)))


def file_new(
    settings: Settings, database: Database, facility_id: int, listener: str, *, now: Callable[[], datetime] = utc_now
) -> int:
    """File the next batch of a listener's spool; returns how many records it held."""
    started = now()
    position = database.transaction(lambda tx: filing.position(tx, listener))
    batch = _read(settings.spool_dir, listener, position)

    def work(tx: Session) -> None:
        for record, payload in batch.records:
            _file_one(tx, record, payload, settings=settings, facility_id=facility_id, now=now())
        if batch.damaged is not None:
            faults.open(tx, f"spool:{listener}:{position.segment}", SPOOL_MISSING, batch.damaged.detail, now())
        filing.advance(tx, listener, batch.next, started if batch.drained else None)

    database.transaction(work)
    return len(batch.records) + (batch.damaged is not None)


def _read(spool_dir: Path, listener: str, position: Position) -> Batch:
    """Read a batch and bring it to stable storage: nothing is filed that a power loss could take."""
    found: list[tuple[SpooledRecord, bytes]] = []
    at = position
    size = 0
    damaged: DamagedRecord | None = None
    drained = True
    try:
        for record in read.records(spool_dir / listener, position):
            if len(found) >= _BATCH_RECORDS or (found and size + record.place.length > _BATCH_BYTES):
                drained = False
                break
            found.append((record, read.payload(spool_dir, record.place)))
            size += record.place.length
            at = record.next
    except DamagedRecord as error:
        damaged, at, drained = error, error.next, False
    for segment in sorted({record.place.segment for record, _ in found}):
        end = max(record.next.offset for record, _ in found if record.next.segment == segment)
        read.sync(spool_dir / listener, segment, end=end)
    return Batch(records=tuple(found), next=at, drained=drained, damaged=damaged)


def _file_one(
    tx: Session, record: SpooledRecord, payload: bytes, *, settings: Settings, facility_id: int, now: datetime
) -> None:
    """File one record; one that meets a defect of ours is passed over visibly, so that those behind it are not held up."""
    try:
        with tx.begin_nested():
            if record.header.kind == "commitment_report":
                delivery_id = filing.file_report(tx, record, payload, now=now)
                if delivery_id is not None:
                    queue.defer(tx, Task.CONFIRM, delivery_id)
                return
            filed = filing.file_record(
                tx, record, payload, facility_id=facility_id, quiet=settings.study.quiet(), now=now
            )
            if filed.closed is not None:
                queue.defer(tx, Task.ANALYSE, filed.closed)
    except DBAPIError:
        raise
    except Exception as error:  # noqa: BLE001 what one record does must not keep those behind it from being filed
        place = record.place
        _LOG.exception("a record of the spool could not be filed")
        faults.open(
            tx,
            f"filing:{place.listener}:{place.segment}:{place.offset}",
            DEFECT,
            f"{type(error).__name__}; the object stays in the spool",
            now,
        )

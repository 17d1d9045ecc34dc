"""File: what the listeners have put into the spool becomes rows of the ledger, and the jobs that follow from it."""

import heapq
import itertools
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
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
_BEFORE_ALL = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Records of all listeners in the order of their receipt, filed in one transaction."""

    records: tuple[tuple[SpooledRecord, bytes], ...]
    next: Mapping[str, Position]
    """Where reading goes on, by listener."""
    drained: bool
    """Whether the present end of every listener's spool was reached."""
    damaged: tuple[tuple[str, DamagedRecord], ...]
    """Damaged places that were passed over, with their listener."""


def run(settings: Settings, database: Database, stop: threading.Event) -> None:
    """File until `stop` is set; with the database away, wait for it: the spool keeps everything meanwhile."""
    while not stop.is_set():
        try:
            facility_id = database.transaction(lambda tx: filing.ensure_facility(tx, settings.facility))
            while not stop.is_set():
                if not file_new(settings, database, facility_id):
                    stop.wait(_IDLE_SECONDS)
        except Transient as error:
            _LOG.warning("filing waits: %s", error)
            stop.wait(_AWAY_SECONDS)


def file_new(
    settings: Settings, database: Database, facility_id: int, *, now: Callable[[], datetime] = utc_now
) -> int:
    """File the next batch of what the listeners have received; returns how many records it held.

    Listeners are read side by side, by time of receipt: a ledger that is filed again from the beginning sees the
    images of a study in the order in which they came, whichever process took them.
    """
    started = now()
    positions = database.transaction(lambda tx: _positions(tx, settings))
    batch = _read(settings.spool_dir, positions)

    def work(tx: Session) -> None:
        for record, payload in batch.records:
            _file_one(tx, record, payload, settings=settings, facility_id=facility_id, now=now())
        for listener, damage in batch.damaged:
            place = damage.position
            faults.open(tx, f"spool:{listener}:{place.segment}:{place.offset}", SPOOL_MISSING, damage.detail, now())
        for listener, position in batch.next.items():
            filing.advance(tx, listener, position, started if batch.drained else None)

    database.transaction(work)
    return len(batch.records) + len(batch.damaged)


def _positions(tx: Session, settings: Settings) -> dict[str, Position]:
    """Return where each listener stands that has a spool, or had one: one that stands still would keep studies open."""
    names = {*read.listeners(settings.spool_dir), *retention.listeners(tx)}
    return {name: filing.position(tx, name) for name in sorted(names)}


def _stream(spool_dir: Path, listener: str, position: Position) -> Iterator[SpooledRecord | DamagedRecord]:
    """Yield a listener's records behind a position; a damaged place is one of what is yielded, and reading goes on."""
    while True:
        try:
            yield from read.records(spool_dir / listener, position)
        except DamagedRecord as damage:
            yield damage
            position = damage.next
        else:
            return


def _read(spool_dir: Path, positions: Mapping[str, Position]) -> Batch:
    """Read a batch and bring it to stable storage: nothing is filed that a power loss could take."""
    found: list[tuple[SpooledRecord, bytes]] = []
    damaged: list[tuple[str, DamagedRecord]] = []
    at = dict(positions)
    size = 0
    drained = True
    streams = (
        zip(itertools.repeat(name), _stream(spool_dir, name, position), strict=False) for name, position in positions.items()
    )
    for listener, item in heapq.merge(*streams, key=_received):
        if len(found) >= _BATCH_RECORDS or size >= _BATCH_BYTES:
            drained = False
            break
        if isinstance(item, DamagedRecord):
            damaged.append((listener, item))
        else:
            found.append((item, read.payload(spool_dir, item.place)))
            size += item.place.length
        at[listener] = item.next
    for listener, segment in sorted({(record.place.listener, record.place.segment) for record, _ in found}):
        ends = [r.next.offset for r, _ in found if (r.place.listener, r.next.segment) == (listener, segment)]
        read.sync(spool_dir / listener, segment, end=max(ends, default=0))
    return Batch(records=tuple(found), next=at, drained=drained, damaged=tuple(damaged))


def _received(entry: tuple[str, SpooledRecord | DamagedRecord]) -> datetime:
    _, item = entry
    return _BEFORE_ALL if isinstance(item, DamagedRecord) else item.header.received_at


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
    except (DBAPIError, Transient, MemoryError, OSError):
        raise  # says something of the machine, not of the record: the batch is filed again
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

"""Retention: what has passed its time is deleted, in the order in which nothing is missed."""

import time
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from derm_pacs.ledger import retention
from derm_pacs.pipeline import queue
from derm_pacs.settings.model import Settings
from derm_pacs.spool import read
from derm_pacs.spool.retain import delete_segment
from derm_pacs.spool.segment import file_name, numbers

_TICKS_KEPT = timedelta(hours=24)


def retain(tx: Session, settings: Settings, now: datetime) -> str:
    """Delete old jobs, ticks and spool segments; returns what was deleted, in words."""
    jobs = queue.delete_ended(tx, older_than=timedelta(hours=settings.retention.queue_hours), now=now)
    retention.forget_ticks(tx, limit=now - _TICKS_KEPT)
    segments = sum(_delete_segments(tx, settings, name, now) for name in read.listeners(settings.spool_dir))
    return f"{jobs} jobs, {segments} segments deleted"


def _delete_segments(tx: Session, settings: Settings, listener: str, now: datetime) -> int:
    directory = settings.spool_dir / listener
    limit = now - timedelta(days=settings.retention.spool_days)
    kept = retention.kept_segments(tx, listener, limit=limit)
    filed = retention.filed_through(tx, listener)
    deleted = 0
    for segment in numbers(directory)[:-1]:
        written = (directory / file_name(segment)).stat().st_mtime
        # A segment without objects (reports only) is known by its age alone.
        if segment < filed and segment not in kept and time.time() - written > (now - limit).total_seconds():
            retention.forget_segment(tx, listener, segment)
            delete_segment(directory, segment)
            deleted += 1
    return deleted

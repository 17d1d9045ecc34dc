"""Retention deletes a segment when every case in it has passed its time, and never earlier."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from derm_pacs.domain.case import State, Step
from derm_pacs.ledger import cases, filing
from derm_pacs.ledger.database import Database
from derm_pacs.operations.retain import retain
from derm_pacs.settings.model import Settings
from derm_pacs.spool.journal import Journal
from derm_pacs.spool.read import Position, records
from derm_pacs.spool.record import RecordHeader
from derm_pacs.spool.segment import numbers
from tests.pipeline import ledger_rows

pytestmark = pytest.mark.server

LATER = datetime.now(UTC) + timedelta(days=100)


def spool_of_three_segments(directory: Path) -> None:
    for number in range(3):  # each start of a journal begins a segment
        journal = Journal(directory, segment_bytes=1_000_000, reserve_bytes=0)
        header = RecordHeader(
            kind="object", calling_ae="A", called_ae="B", received_at=datetime.now(UTC), sop_instance_uid=f"1.2.{number}"
        )
        journal.append(header, [b"bytes"])
        journal.close()


def test_only_whole_filed_and_outdated_segments_go(database: Database, tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    directory = settings.spool_dir / "listener-0"
    directory.mkdir(parents=True)
    spool_of_three_segments(directory)
    first, second, newest = numbers(directory)
    for path in directory.iterdir():
        os.utime(path, (0, 0))

    def prepare(tx: object) -> int:
        filed = list(records(directory, Position(0, 0)))
        filing.advance(tx, "listener-0", filed[-1].next, None)  # type: ignore[arg-type]
        open_case = ledger_rows.revision(tx, State.QUEUED)  # type: ignore[arg-type]
        ledger_rows.finding(tx, open_case)  # type: ignore[arg-type]
        return open_case

    open_case = database.transaction(prepare)
    database.transaction(
        lambda tx: tx.execute(text("UPDATE instances SET segment = :segment, filed_at = '2020-01-01'"), {"segment": second})
    )
    database.transaction(lambda tx: retain(tx, settings, LATER))
    assert list(numbers(directory)) == [second, newest], f"{first} held nothing, {second} an open case, {newest} is written to"
    database.transaction(lambda tx: cases.take(tx, open_case, Step.CANCEL, actor="admin", now=ledger_rows.NOW))
    database.transaction(lambda tx: retain(tx, settings, LATER))
    assert list(numbers(directory)) == [newest]


def test_what_is_not_filed_yet_is_kept_however_old_it_is(database: Database, tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    directory = settings.spool_dir / "listener-0"
    directory.mkdir(parents=True)
    spool_of_three_segments(directory)
    for path in directory.iterdir():
        os.utime(path, (0, 0))
    database.transaction(lambda tx: retain(tx, settings, LATER))
    assert len(numbers(directory)) == 3

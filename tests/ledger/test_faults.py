"""A fault is open while its condition holds: once a key, cleared when it does not hold."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import func, select

from derm_pacs.domain.reasons import DISK_RESERVE, PEER_AWAY, PEER_REFUSES
from derm_pacs.ledger import faults
from derm_pacs.ledger.database import Database
from derm_pacs.ledger.faults import OpenFault
from derm_pacs.ledger.tables import Fault

pytestmark = pytest.mark.server


def open_now(database: Database) -> list[OpenFault]:
    return database.transaction(faults.open_faults)


def test_a_condition_that_is_said_again_is_one_fault_with_the_newest_words(database: Database, now: datetime) -> None:
    later = now + timedelta(hours=1)
    assert database.transaction(lambda tx: faults.open(tx, "peer:pacs", PEER_AWAY, "refused", now))
    assert not database.transaction(lambda tx: faults.open(tx, "peer:pacs", PEER_REFUSES, "unknown AE title", later))
    assert open_now(database) == [
        OpenFault(key="peer:pacs", reason=PEER_REFUSES, detail="unknown AE title", opened_at=now)
    ]


def test_a_cleared_fault_is_not_open_and_stays_in_the_ledger(database: Database, now: datetime) -> None:
    database.transaction(lambda tx: faults.open(tx, "peer:pacs", PEER_AWAY, "", now))
    assert database.transaction(lambda tx: faults.clear(tx, "peer:pacs", now))
    assert not database.transaction(lambda tx: faults.clear(tx, "peer:pacs", now))
    assert open_now(database) == []
    assert database.transaction(lambda tx: tx.scalar(select(func.count()).select_from(Fault))) == 1


def test_a_condition_that_comes_back_is_a_new_fault(database: Database, now: datetime) -> None:
    later = now + timedelta(hours=1)
    database.transaction(lambda tx: faults.open(tx, "disk:spool", DISK_RESERVE, "", now))
    database.transaction(lambda tx: faults.clear(tx, "disk:spool", now))
    assert database.transaction(lambda tx: faults.open(tx, "disk:spool", DISK_RESERVE, "", later))
    assert [one.opened_at for one in open_now(database)] == [later]


def test_faults_of_several_keys_stand_beside_one_another_the_oldest_first(database: Database, now: datetime) -> None:
    for minutes, key in ((2, "b"), (1, "c"), (3, "a")):
        at = now + timedelta(minutes=minutes)
        database.transaction(lambda tx, key=key, at=at: faults.open(tx, key, PEER_AWAY, "", at))  # type: ignore[misc]
    assert [one.key for one in open_now(database)] == ["c", "b", "a"]

"""Filing takes a record once, whatever breaks in between and however often it is begun again."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import text
from sqlalchemy.orm import Session

from derm_pacs.domain.study import Placement
from derm_pacs.ledger import cases, filing
from derm_pacs.ledger.database import Database
from derm_pacs.ledger.filing import Filed
from derm_pacs.ledger.tables import Case, Instance, Lesion, Patient, RevisionInstance
from derm_pacs.spool import read
from derm_pacs.spool.read import Position
from tests.ledger.filing_site import QUIET, Site, ours

pytestmark = pytest.mark.server


@pytest.fixture
def empty_ledger(ledger_url: str, template: str) -> Iterator[Database]:
    """One more migrated database."""
    with psycopg.connect(ledger_url, autocommit=True) as connection:
        name = f"{connection.info.dbname}_again"
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template)))
        made = Database(ledger_url.replace(connection.info.dbname, name))
        yield made
        made.close()
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def test_filing_a_record_again_changes_nothing(site: Site, ledger_url: str) -> None:
    for seconds, name in ((0, "A"), (10, "B"), (20, "A"), (100, "C")):
        site.receive(seconds, PatientName=name)
    seen = list(site.records())
    site.file()

    def rows() -> list[tuple[object, ...]]:
        with psycopg.connect(ledger_url) as connection:
            return [
                row for table in ("instances", "revisions", "revision_instances", "events", "cases")
                for row in connection.execute(sql.SQL("SELECT * FROM {} ORDER BY 1, 2").format(sql.Identifier(table)))
            ]

    before = rows()
    for record in seen:
        assert site.file_one(record, site.database).placement is Placement.SAME
    assert rows() == before


def test_a_record_whose_transaction_is_lost_is_filed_by_the_next_try(site: Site) -> None:
    site.receive(0)
    (record,) = site.records()
    payload = read.payload(site.folder, record.place)

    def lost(tx: Session) -> None:
        facility = filing.ensure_facility(tx, "clinic")
        filing.file_record(tx, record, payload, facility_id=facility, quiet=QUIET, now=site.at(0))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        site.database.transaction(lost)
    assert site.count(Case) == 0
    (filed,) = site.file()
    assert filed.placement is Placement.FIRST


def test_a_connection_that_is_lost_while_filing_costs_nothing(site: Site, ledger_url: str) -> None:
    site.receive(0)
    (record,) = site.records()
    payload = read.payload(site.folder, record.place)
    tries = 0

    def work(tx: Session) -> Filed:
        nonlocal tries
        tries += 1
        facility = filing.ensure_facility(tx, "clinic")
        filed = filing.file_record(tx, record, payload, facility_id=facility, quiet=QUIET, now=site.at(0))
        if tries == 1:
            with psycopg.connect(ledger_url, autocommit=True) as other:
                other.execute("SELECT pg_terminate_backend(%s)", (tx.scalar(text("SELECT pg_backend_pid()")),))
        filing.advance(tx, "listener-0", record.next, None)
        return filed

    assert site.database.transaction(work).placement is Placement.FIRST
    assert (tries, site.count(Instance)) == (2, 1)


def test_a_ledger_filed_again_from_the_beginning_names_the_same_things(site: Site, empty_ledger: Database) -> None:
    """The clock closed some revisions in the first life and none in the second."""
    arrivals: tuple[tuple[int, str, str, dict[str, Any]], ...] = (
        (0, "1.1", "1", {}), (10, "1.2", "1", {}), (30, "1.1", "2", {}), (31, "1.1", "2", {}),
        (200, "1.1", "3", {}), (210, "1.1", "1", {"PatientName": "corrected"}), (300, "1.2", "2", {}),
        (330, "1.3", "1", ours()), (900, "1.1", "1", {}), (905, "1.4", "1", {}), (1000, "1.1", "9", {}),
    )
    for seconds, study, uid, more in arrivals:
        site.send(seconds, StudyInstanceUID=study, SOPInstanceUID=f"{study}.{uid}", **more)
        if seconds in (200, 905):
            site.close_due(seconds)
    site.receive(1100, b"broken", StudyInstanceUID="1.5", SOPInstanceUID="1.5.1")
    site.file()
    site.close_due(5000)
    site.file(into=empty_ledger)
    again = replace_database(site, empty_ledger)
    again.close_due(5000)
    assert len(site.revisions()) >= 8
    assert again.revisions() == site.revisions()
    for table in (Instance, Case, RevisionInstance, Lesion, Patient):
        assert again.count(table) == site.count(table)


def replace_database(site: Site, database: Database) -> Site:
    other = Site.__new__(Site)
    other.folder, other.start, other.part10, other.journal = site.folder, site.start, site.part10, site.journal
    other.database = database
    return other


def test_positions_and_drained_times_never_go_back(site: Site) -> None:
    def advance(segment: int, offset: int, drained: float | None) -> tuple[Position, datetime | None]:
        at = None if drained is None else site.at(drained)
        site.database.transaction(lambda tx: filing.advance(tx, "listener-7", Position(segment, offset), at))
        return site.database.transaction(lambda tx: (filing.position(tx, "listener-7"), cases.drained_until(tx)))

    assert site.database.transaction(lambda tx: filing.position(tx, "listener-7")) == Position(0, 0)
    assert advance(1, 500, None) == (Position(1, 500), None)
    assert advance(2, 30, 5) == (Position(2, 30), site.at(5))
    assert advance(1, 900, 4) == (Position(2, 30), site.at(5))
    assert advance(2, 31, None) == (Position(2, 31), site.at(5))
    assert advance(2, 31, 6) == (Position(2, 31), site.at(6))


def test_a_facility_is_made_once(site: Site) -> None:
    first = site.database.transaction(lambda tx: filing.ensure_facility(tx, "clinic"))
    assert site.database.transaction(lambda tx: filing.ensure_facility(tx, "clinic")) == first

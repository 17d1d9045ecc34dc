"""Patient data stands in one table; erasing a patient empties it and leaves every other table as it was."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime

import psycopg
import pytest
from psycopg import errors, sql
from sqlalchemy import select

from derm_pacs.ledger import audit, filing, patients
from derm_pacs.ledger.database import Database
from derm_pacs.ledger.patients import Demographics
from derm_pacs.ledger.tables import Patient

pytestmark = pytest.mark.server

ERIKA = Demographics(patient_id="P1", issuer="CLINIC", name="Muster^Erika", birth_date=date(1970, 1, 2), sex="F")


@pytest.fixture
def remember(database: Database) -> Callable[..., int]:
    facility = database.transaction(lambda tx: filing.ensure_facility(tx, "clinic"))
    return lambda said, newest=True: database.transaction(
        lambda tx: patients.remember(tx, facility, said, newest=newest)
    )


def row(database: Database, patient: int) -> Patient:
    return database.transaction(lambda tx: tx.scalars(select(Patient).where(Patient.id == patient)).one())


def contents(url: str) -> dict[str, list[tuple[object, ...]]]:
    with psycopg.connect(url) as connection:
        tables = connection.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE'"
        ).fetchall()
        return {
            name: connection.execute(sql.SQL("SELECT * FROM {} AS t ORDER BY t::text").format(sql.Identifier(name))).fetchall()
            for (name,) in tables
        }


def test_a_patient_is_known_by_id_and_issuer(remember: Callable[..., int]) -> None:
    first = remember(ERIKA)
    assert remember(ERIKA) == first
    assert remember(replace(ERIKA, name="Muster^Erica")) == first
    assert remember(replace(ERIKA, issuer="OTHER")) != first
    assert remember(replace(ERIKA, patient_id="P2")) != first


def test_the_newest_image_corrects_the_demographics_and_an_older_object_does_not(
    database: Database, remember: Callable[..., int]
) -> None:
    patient = remember(ERIKA)
    remember(replace(ERIKA, name="Muster^Erica", birth_date=None))
    assert (row(database, patient).name, row(database, patient).birth_date) == ("Muster^Erica", None)
    remember(ERIKA, newest=False)
    assert row(database, patient).name == "Muster^Erica"


def test_an_erased_patient_is_a_row_with_nothing_in_it_and_every_other_table_is_intact(
    ledger_url: str, database: Database, remember: Callable[..., int], now: datetime
) -> None:
    erika, other = remember(ERIKA), remember(replace(ERIKA, patient_id="P2"))
    before = contents(ledger_url)
    database.transaction(lambda tx: patients.erase(tx, erika, actor="admin", reason="request of 1 March", now=now))
    after = contents(ledger_url)
    assert (len(after.pop("audit")), len(before.pop("audit"))) == (1, 0)
    assert after.pop("patients") != before.pop("patients")
    assert after == before
    erased = row(database, erika)
    assert (erased.patient_id, erased.issuer, erased.name, erased.birth_date, erased.sex) == (None,) * 5
    assert erased.erased_at == now
    assert row(database, other).name == "Muster^Erika"
    assert isinstance(database.transaction(audit.verify), audit.Whole)
    assert "Muster" not in str(contents(ledger_url)["audit"])


def test_a_patient_who_comes_again_after_the_erasure_is_a_new_row(
    database: Database, remember: Callable[..., int], now: datetime
) -> None:
    erika = remember(ERIKA)
    database.transaction(lambda tx: patients.erase(tx, erika, actor="admin", reason="request", now=now))
    assert database.transaction(lambda tx: patients.find(tx, 1, "P1", "CLINIC")) is None
    assert remember(ERIKA) != erika


def test_nobody_is_erased_twice(database: Database, remember: Callable[..., int], now: datetime) -> None:
    def erase(patient: int) -> None:
        database.transaction(lambda tx: patients.erase(tx, patient, actor="admin", reason="request", now=now))

    erika = remember(ERIKA)
    erase(erika)
    for patient in (erika, 99):
        with pytest.raises(LookupError, match=f"row {patient}"):
            erase(patient)


def test_the_database_refuses_a_half_erased_patient(ledger_url: str, remember: Callable[..., int]) -> None:
    remember(ERIKA)
    with psycopg.connect(ledger_url, autocommit=True) as connection:
        for change in ("erased_at = now()", "patient_id = NULL", "erased_at = now(), patient_id = NULL, issuer = NULL"):
            with pytest.raises(errors.CheckViolation):
                connection.execute(" ".join(("UPDATE patients SET", change)).encode())

"""Patients: the one table with patient data, written by filing, erased by a person.

Images without a Patient ID have no row: nothing would tell two of them apart.
"""

from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import func, select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from derm_pacs.ledger import audit
from derm_pacs.ledger.tables import Instance, Patient


@dataclass(frozen=True, slots=True, kw_only=True)
class Demographics:
    """What an image says of its patient."""

    patient_id: str
    """Patient ID (0010,0020), not empty."""
    issuer: str
    name: str
    birth_date: date | None
    sex: str


def remember(tx: Session, facility_id: int, said: Demographics, *, newest: bool) -> int:
    """Return the patient's row, made where it is missing; `newest` lets what is said replace name, birth date and sex."""
    values = {"name": said.name, "birth_date": said.birth_date, "sex": said.sex}
    statement = insert(Patient).values(
        facility_id=facility_id, patient_id=said.patient_id, issuer=said.issuer, **values
    )
    key = [Patient.facility_id, Patient.patient_id, Patient.issuer]
    if newest:
        made = tx.scalar(
            statement.on_conflict_do_update(
                index_elements=key, set_=values,
                where=tuple_(Patient.name, Patient.birth_date, Patient.sex).is_distinct_from(
                    tuple_(*(statement.excluded[name] for name in values))
                ),
            ).returning(Patient.id)
        )
    else:
        made = tx.scalar(statement.on_conflict_do_nothing(index_elements=key).returning(Patient.id))
    found = made if made is not None else find(tx, facility_id, said.patient_id, said.issuer)
    if found is None:
        raise LookupError("the patient was erased while an image was filed")
    return found


def find(tx: Session, facility_id: int, patient_id: str, issuer: str) -> int | None:
    """Return the row of a patient who is not erased, None where there is none."""
    return tx.scalar(
        select(Patient.id).where(
            Patient.facility_id == facility_id, Patient.patient_id == patient_id, Patient.issuer == issuer
        )
    )


def erase(tx: Session, patient_row: int, *, actor: str, reason: str, now: datetime) -> None:
    """Erase a patient's data and write who did it; every other table stays as it is.

    The spool still holds the objects as received until retention deletes their segments.
    Raises `LookupError` where there is no such row or it is erased already.
    """
    patient = tx.get(Patient, patient_row, with_for_update=True, populate_existing=True)
    if patient is None or patient.erased_at is not None:
        raise LookupError(f"there is no patient in row {patient_row}")
    patient.patient_id = patient.issuer = patient.name = patient.birth_date = patient.sex = None
    patient.erased_at = now
    tx.flush()
    images = tx.scalar(select(func.count()).select_from(Instance).where(Instance.patient_id == patient_row))
    audit.append(
        tx, actor=actor, action="erase patient", subject=f"patient row {patient_row}", reason=reason,
        detail={"instances": images or 0}, now=now,
    )

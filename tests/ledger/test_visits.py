"""What a revision said of lesions is kept, and found again for the same patient's later study alone."""

from collections.abc import Callable
from datetime import date, datetime, timedelta

import pytest
from sqlalchemy.orm import Session

from derm_pacs.domain.case import State, Step
from derm_pacs.domain.composed import Form, Reference
from derm_pacs.domain.study import Arrivals
from derm_pacs.domain.visits import LesionProbability, LesionVisit
from derm_pacs.ledger import cases, filing, patients, visits
from derm_pacs.ledger.database import Database
from derm_pacs.ledger.patients import Demographics
from derm_pacs.ledger.result_tables import ResultRow
from derm_pacs.ledger.tables import Case, Instance, Peer, Revision, RevisionInstance

pytestmark = pytest.mark.server


class Patients:
    """Studies of patients, each of one image, in a ledger."""

    def __init__(self, tx: Session, now: datetime) -> None:
        self.tx, self.now, self.number = tx, now, 0
        self.facility_id = filing.ensure_facility(tx, "clinic")
        peer = Peer(facility_id=self.facility_id, ae_title="A", first_seen_at=now, last_seen_at=now)
        tx.add(peer)
        tx.flush()
        self.peer_id = peer.id

    def patient(self, patient_id: str = "P1", issuer: str = "") -> int:
        said = Demographics(patient_id=patient_id, issuer=issuer, name="", birth_date=None, sex="")
        return patients.remember(self.tx, self.facility_id, said, newest=True)

    def study(
        self, patient: int | None, *, on: date | None = None, days: int = 0, case_id: int | None = None, composed: bool = True
    ) -> int:
        """Return the id of a revision that was received so many days after the first, of a new case unless one is given."""
        self.number += 1
        at = self.now + timedelta(days=days)
        if case_id is None:
            case = Case(facility_id=self.facility_id, study_instance_uid=f"1.2.{self.number}", created_at=at)
            self.tx.add(case)
            self.tx.flush()
            case_id = case.id
        revision_id = cases.open_revision(self.tx, case_id, Arrivals(first_at=at, last_at=at), actor="test", now=at)
        image = Instance(
            facility_id=self.facility_id, case_id=case_id, patient_id=patient, peer_id=self.peer_id, role="image", current=True,
            sop_class_uid="1.2", sop_instance_uid=f"1.2.3.{self.number}", series_instance_uid="1.2.3", study_instance_uid="1.2",
            transfer_syntax_uid="1.2", sha256=f"{self.number:064x}", modality="DMS", study_date=on, number_of_frames=1,
            listener="l", segment=1, offset=self.number, length=1, received_at=at, filed_at=at,
        )
        self.tx.add(image)
        self.tx.flush()
        self.tx.add(RevisionInstance(revision_id=revision_id, instance_id=image.id))
        if composed:
            self.tx.add(ResultRow(
                revision_id=revision_id, form=Form.REPORT_SR, sop_class_uid="1.2", sop_instance_uid=f"2.25.{self.number}",
                series_instance_uid="2.25.1", transfer_syntax_uid="1.2", sha256="0" * 64, length=1, about=[], composed_at=at,
            ))
            visits.keep(self.tx, revision_id, [a_visit(f"2.25.{self.number}")])
        cases.take(self.tx, revision_id, Step.REJECT, actor="test", now=at)
        return revision_id

    def case_of(self, revision_id: int) -> int:
        return self.tx.get_one(Revision, revision_id).case_id

    def told(self, revision_id: int) -> list[str]:
        """Return the reports that a revision is told against."""
        return [one.report.sop_instance_uid for one in visits.read(self.tx, visits.earlier(self.tx, revision_id))]


def a_visit(report: str, tracking_uid: str = "2.25.9", area: float | None = 12.5) -> LesionVisit:
    return LesionVisit(
        tracking_uid=tracking_uid, tracked=True, site="66643007", laterality=None, study_instance_uid="1.2.3",
        study_date=date(2026, 1, 2),
        report=Reference(
            form=Form.REPORT_SR, sop_class_uid="1.2", sop_instance_uid=report, series_instance_uid="1.3", study_instance_uid="1.2.3"
        ),
        images=(("1.2", "1.2.3.4"),),
        probabilities=(LesionProbability(bundle_hash="ab", output="class", class_id="m", concept="melanoma", probability=0.25),),
        area=area, diameter=None, share=0.125, outlined_by=("e" * 64,),
    )


@pytest.fixture
def in_ledger(database: Database, now: datetime) -> Callable[[Callable[[Patients], None]], None]:
    return lambda work: database.transaction(lambda tx: work(Patients(tx, now)))


InLedger = Callable[[Callable[[Patients], None]], None]


def test_a_visit_comes_back_as_it_was_kept_and_is_never_replaced(in_ledger: InLedger) -> None:
    def work(there: Patients) -> None:
        first = there.study(there.patient(), composed=False)
        kept = [a_visit("2.25.1"), a_visit("2.25.1", tracking_uid="2.25.10", area=None)]
        visits.keep(there.tx, first, kept)
        visits.keep(there.tx, first, [a_visit("2.25.2")])
        there.tx.expire_all()
        assert visits.read(there.tx, [1, 2]) == tuple(kept)

    in_ledger(work)


def test_earlier_studies_of_the_patient_are_found_the_newest_first(in_ledger: InLedger) -> None:
    def work(there: Patients) -> None:
        patient = there.patient()
        there.study(patient, on=date(2025, 1, 1))
        there.study(patient, on=date(2026, 1, 1), days=1)
        this = there.study(patient, on=date(2026, 2, 1), days=2)
        there.study(patient, on=date(2026, 3, 1), days=3)
        assert there.told(this) == ["2.25.2", "2.25.1"]

    in_ledger(work)


def test_the_date_of_the_study_decides_and_the_receipt_only_where_one_is_missing(in_ledger: InLedger) -> None:
    def work(there: Patients) -> None:
        patient = there.patient()
        this = there.study(patient, on=date(2026, 2, 1), days=10)
        there.study(patient, on=date(2026, 1, 1), days=20)  # older, sent later
        there.study(patient, on=date(2026, 2, 1), days=1)  # of the same day
        there.study(patient, on=None, days=5)
        there.study(patient, on=None, days=15)
        assert there.told(this) == ["2.25.2", "2.25.4"]

    in_ledger(work)


def test_of_a_case_only_the_newest_composed_revision_counts(in_ledger: InLedger) -> None:
    def work(there: Patients) -> None:
        patient = there.patient()
        first = there.study(patient, on=date(2026, 1, 1))
        there.study(patient, on=date(2026, 1, 1), case_id=there.case_of(first))
        there.study(patient, on=date(2026, 1, 1), case_id=there.case_of(first), composed=False)
        assert there.told(there.study(patient, on=date(2026, 2, 1))) == ["2.25.2"]

    in_ledger(work)


@pytest.mark.parametrize("patient_id,issuer", [("P2", ""), ("P1", "other hospital")])
def test_another_patients_study_is_not_found(in_ledger: InLedger, patient_id: str, issuer: str) -> None:
    def work(there: Patients) -> None:
        there.study(there.patient(patient_id, issuer), on=date(2026, 1, 1))
        assert there.told(there.study(there.patient("P1"), on=date(2026, 2, 1))) == []

    in_ledger(work)


def test_images_without_a_patient_id_are_nobodys(in_ledger: InLedger) -> None:
    def work(there: Patients) -> None:
        there.study(None, on=date(2026, 1, 1))
        assert there.told(there.study(None, on=date(2026, 2, 1))) == []

    in_ledger(work)


def test_a_case_that_was_corrected_to_another_patient_is_not_found(in_ledger: InLedger) -> None:
    def work(there: Patients) -> None:
        patient = there.patient()
        first = there.study(patient, on=date(2026, 1, 1))
        there.study(there.patient("P2"), on=date(2026, 1, 1), case_id=there.case_of(first), composed=False)
        assert there.told(there.study(patient, on=date(2026, 2, 1))) == []

    in_ledger(work)


def test_nothing_is_found_for_or_of_an_erased_patient(in_ledger: InLedger, now: datetime) -> None:
    def work(there: Patients) -> None:
        patient = there.patient()
        there.study(patient, on=date(2026, 1, 1))
        this = there.study(patient, on=date(2026, 2, 1))
        patients.erase(there.tx, patient, actor="admin", reason="asked for", now=now)
        assert there.told(this) == []
        assert there.told(there.study(there.patient(), on=date(2026, 3, 1))) == []

    in_ledger(work)


def test_a_case_that_a_person_has_cancelled_is_not_found(in_ledger: InLedger, now: datetime) -> None:
    def work(there: Patients) -> None:
        patient = there.patient()
        first = there.study(patient, on=date(2026, 1, 1))
        there.tx.get_one(Revision, first).composed_with = None
        other = there.study(patient, on=date(2026, 1, 2), case_id=there.case_of(first), composed=False)
        assert there.tx.get_one(Revision, other).state is State.REJECTED
        open_again = cases.open_revision(
            there.tx, there.case_of(first), Arrivals(first_at=now, last_at=now), actor="test", now=now
        )
        there.tx.add(ResultRow(
            revision_id=open_again, form=Form.REPORT_SR, sop_class_uid="1.2", sop_instance_uid="2.25.99", series_instance_uid="2.25.1",
            transfer_syntax_uid="1.2", sha256="0" * 64, length=1, about=[], composed_at=now,
        ))
        visits.keep(there.tx, open_again, [a_visit("2.25.99")])
        cases.take(there.tx, open_again, Step.CANCEL, actor="admin", now=now)
        assert there.told(there.study(patient, on=date(2026, 2, 1))) == []

    in_ledger(work)

"""Filing makes the same cases, revisions and instances of the same spool, however often and however late."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from derm_pacs.domain.case import State, Step
from derm_pacs.domain.composed import Form
from derm_pacs.domain.delivery import DeliveryState
from derm_pacs.domain.errors import Defect
from derm_pacs.domain.marks import MANUFACTURER, PURPOSE
from derm_pacs.domain.study import CloseReason, Complete, InstanceRole, Placement, Quiet, StoredInstance, completeness
from derm_pacs.ledger import cases, filing, runs
from derm_pacs.ledger.database import Database
from derm_pacs.ledger.filing import Filed
from derm_pacs.ledger.result_tables import CommitmentTransaction, DeliveryRow, ResultRow
from derm_pacs.ledger.tables import (
    Case,
    Instance,
    Lesion,
    LesionInstance,
    Patient,
    Peer,
    Revision,
    RevisionInstance,
)
from derm_pacs.spool import read
from derm_pacs.spool.journal import Journal
from derm_pacs.spool.read import Position, SpooledRecord
from derm_pacs.spool.record import Kind, RecordHeader

pytestmark = pytest.mark.server

QUIET = Quiet(quiet=timedelta(seconds=60), cap=timedelta(seconds=600))
SR = "1.2.840.10008.5.1.4.1.1.88.33"


class Site:
    """A spool, a ledger, and the time of day."""

    def __init__(self, folder: Path, database: Database, start: datetime, part10: Callable[..., bytes]) -> None:
        self.folder = folder
        self.database = database
        self.start = start
        self.part10 = part10
        self.journal = Journal(folder / "listener-0", segment_bytes=1_000_000, reserve_bytes=0)

    def at(self, seconds: float) -> datetime:
        return self.start + timedelta(seconds=seconds)

    def receive(self, seconds: float, payload: bytes | None = None, *, kind: Kind = "object", **elements: Any) -> None:
        """As the listener: an object (or a report) goes into the spool."""
        data = self.part10(**elements) if payload is None else payload
        header = RecordHeader(
            kind=kind, calling_ae=str(elements.pop("calling_ae", "MODALITY")), called_ae="DERMPACS",
            received_at=self.at(seconds),
            sop_class_uid=elements.get("SOPClassUID", "1.2.840.10008.5.1.4.1.1.77.1.7"),
            sop_instance_uid=elements.get("SOPInstanceUID", "1.2.3.1"),
            study_instance_uid=elements.get("StudyInstanceUID", "1.2.3"),
            series_instance_uid=elements.get("SeriesInstanceUID", "1.2.3.0"),
            transfer_syntax_uid="1.2.840.10008.1.2.1",
        )
        self.journal.append(header, [data])

    def records(self) -> Iterator[SpooledRecord]:
        return read.records(self.folder / "listener-0", self.database.transaction(lambda tx: filing.position(tx, "listener-0")))

    def file(self, *, drained: float | None = None, into: Database | None = None) -> list[Filed]:
        """File what is new, each record in a transaction of its own."""
        database = into or self.database
        after = database.transaction(lambda tx: filing.position(tx, "listener-0"))
        return [self.file_one(record, database, drained) for record in read.records(self.folder / "listener-0", after)]

    def file_one(self, record: SpooledRecord, database: Database, drained: float | None = None) -> Filed:
        payload = read.payload(self.folder, record.place)

        def work(tx: Session) -> Filed:
            facility = filing.ensure_facility(tx, "clinic")
            filed = filing.file_record(tx, record, payload, facility_id=facility, quiet=QUIET, now=self.at(9999))
            filing.advance(tx, "listener-0", record.next, self.at(drained) if drained is not None else None)
            return filed

        return database.transaction(work)

    def send(self, seconds: float, **elements: Any) -> Filed:
        """Receive and file one object."""
        self.receive(seconds, **elements)
        (filed,) = self.file()
        return filed

    def close_due(self, seconds: float) -> list[int]:
        """As the clock: close what is complete."""
        def work(tx: Session) -> list[int]:
            closed = []
            for one in cases.receiving(tx):
                complete = completeness(one.arrivals, QUIET, self.at(seconds))
                if isinstance(complete, Complete):
                    cases.close(tx, one.revision_id, complete, actor="clock", now=self.at(seconds))
                    closed.append(one.revision_id)
            return closed

        return self.database.transaction(work)

    def revisions(self, database: Database | None = None) -> list[tuple[str, int, str | None, str | None, datetime | None]]:
        """Study, number, hash, close reason and close time of every revision."""
        return (database or self.database).transaction(lambda tx: [
            (uid, row.number, row.hash, row.close_reason, row.closed_at)
            for uid, row in tx.execute(
                select(Case.study_instance_uid, Revision).join(Revision, Revision.case_id == Case.id)
                .order_by(Case.study_instance_uid, Revision.number)
            )
        ])

    def members(self, revision_id: int | None) -> list[str]:
        assert revision_id is not None
        return self.database.transaction(lambda tx: list(tx.scalars(
            select(Instance.sop_instance_uid).join(RevisionInstance, RevisionInstance.instance_id == Instance.id)
            .where(RevisionInstance.revision_id == revision_id).order_by(Instance.sop_instance_uid)
        )))

    def count(self, table: type) -> int:
        return self.database.transaction(lambda tx: tx.scalar(select(func.count()).select_from(table)) or 0)


def images(tx: Session, revision_id: int) -> list[StoredInstance]:
    return [one.stored for one in runs.images(tx, revision_id)]


@pytest.fixture
def site(tmp_path: Path, database: Database, now: datetime, part10: Callable[..., bytes]) -> Iterator[Site]:
    made = Site(tmp_path, database, now, part10)
    yield made
    made.journal.close()


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


def ours() -> dict[str, Any]:
    purpose = Dataset()
    purpose.CodeValue, purpose.CodingSchemeDesignator, purpose.CodeMeaning = PURPOSE
    item = Dataset()
    item.Manufacturer = MANUFACTURER
    item.PurposeOfReferenceCodeSequence = Sequence([purpose])
    return {"ContributingEquipmentSequence": Sequence([item])}


def test_the_first_image_opens_a_case_and_its_first_revision(site: Site) -> None:
    filed = site.send(0)
    assert (filed.placement, filed.role, filed.closed) == (Placement.FIRST, InstanceRole.IMAGE, None)
    assert site.members(filed.revision_id) == ["1.2.3.1"]
    (stored,) = site.database.transaction(lambda tx: images(tx, filed.revision_id or 0))
    assert stored.place.length == len(read.payload(site.folder, stored.place))
    assert (stored.place.listener, stored.study_instance_uid) == ("listener-0", "1.2.3")


def test_an_image_within_the_quiet_period_joins_and_the_study_stays_open_longer(site: Site) -> None:
    first = site.send(0)
    second = site.send(59, SOPInstanceUID="1.2.3.2")
    assert (second.placement, second.revision_id) == (Placement.JOINS, first.revision_id)
    assert site.members(first.revision_id) == ["1.2.3.1", "1.2.3.2"]
    (open_one,) = site.database.transaction(cases.receiving)
    assert (open_one.arrivals.first_at, open_one.arrivals.last_at) == (site.at(0), site.at(59))


def test_a_resend_of_the_same_bytes_changes_nothing(site: Site) -> None:
    first = site.send(0)
    again = site.send(30)
    assert (again.placement, again.instance_id, again.revision_id) == (Placement.SAME, first.instance_id, None)
    (open_one,) = site.database.transaction(cases.receiving)
    assert open_one.arrivals.last_at == site.at(0)
    site.close_due(1000)
    late = site.send(2000)
    assert late.placement is Placement.SAME
    assert len(site.revisions()) == 1


def test_a_late_image_opens_the_next_revision_of_all_current_images(site: Site) -> None:
    first = site.send(0)
    site.close_due(60)
    late = site.send(100, SOPInstanceUID="1.2.3.2")
    assert (late.placement, late.closed) == (Placement.LATE, None)
    assert late.revision_id != first.revision_id
    assert site.members(late.revision_id) == ["1.2.3.1", "1.2.3.2"]
    assert site.members(first.revision_id) == ["1.2.3.1"]


def test_a_late_image_closes_what_the_clock_has_not_closed_yet_and_says_so(site: Site) -> None:
    first = site.send(0)
    late = site.send(60, SOPInstanceUID="1.2.3.2")
    assert (late.placement, late.closed) == (Placement.LATE, first.revision_id)
    (one, two) = site.revisions()
    assert one[3:] == (CloseReason.QUIET, site.at(60))
    assert two[2:] == (None, None, None)
    assert site.database.transaction(lambda tx: tx.get_one(Revision, first.revision_id).state) is State.QUEUED


def test_images_that_go_on_coming_are_cut_at_the_cap(site: Site) -> None:
    first = site.send(0)
    for index in range(1, 12):
        site.send(index * 50, SOPInstanceUID=f"1.2.3.{index + 1}")
    late = site.send(600, SOPInstanceUID="1.2.3.99")
    assert late.closed == first.revision_id
    assert site.revisions()[0][3:] == (CloseReason.CAP, site.at(600))


def test_corrected_demographics_replace_the_image_and_keep_its_pixels(site: Site) -> None:
    first = site.send(0)
    site.close_due(60)
    corrected = site.send(100, PatientName="Muster^Erica")
    assert corrected.placement is Placement.LATE
    assert site.members(corrected.revision_id) == ["1.2.3.1"]
    (before,) = site.database.transaction(lambda tx: images(tx, first.revision_id or 0))
    (after,) = site.database.transaction(lambda tx: images(tx, corrected.revision_id or 0))
    assert before.sha256 != after.sha256
    assert before.pixel_sha256 == after.pixel_sha256
    assert site.database.transaction(lambda tx: cases.conflicting_contents(tx, corrected.revision_id or 0)) == ()
    assert site.count(Patient) == 1


def test_a_correction_while_the_study_is_open_takes_the_images_place(site: Site) -> None:
    first = site.send(0)
    corrected = site.send(10, PatientName="Muster^Erica")
    assert (corrected.placement, corrected.revision_id) == (Placement.JOINS, first.revision_id)
    member = site.database.transaction(lambda tx: tx.scalars(select(RevisionInstance.instance_id)).one())
    assert member == corrected.instance_id != first.instance_id


def test_an_earlier_content_that_is_sent_again_becomes_current_again(site: Site) -> None:
    first = site.send(0)
    site.send(10, PatientName="Muster^Erica")
    back = site.send(20)
    assert (back.instance_id, back.placement) == (first.instance_id, Placement.JOINS)
    assert site.count(Instance) == 2
    assert site.count(RevisionInstance) == 1


def test_two_contents_under_one_uid_are_found(site: Site) -> None:
    site.send(0)
    filed = site.send(10, PixelData=bytes(12))
    revision = filed.revision_id or 0
    assert site.database.transaction(lambda tx: cases.conflicting_contents(tx, revision)) == ("1.2.3.1",)


def test_an_image_that_comes_again_with_its_pixels_is_no_second_content(site: Site) -> None:
    site.send(0, PixelData=None)
    filed = site.send(10)
    assert site.database.transaction(lambda tx: cases.conflicting_contents(tx, filed.revision_id or 0)) == ()


@pytest.mark.parametrize(
    ("other", "patients"),
    [
        ({"PatientID": "P1"}, 1),
        ({"PatientID": "P1", "PatientName": "Muster^Erica"}, 1),
        ({"PatientID": "P2"}, 2),
        ({"IssuerOfPatientID": "OTHER"}, 2),
        ({"PatientID": ""}, 2),
    ],
)
def test_the_patients_of_a_study_are_told_by_id_and_issuer(site: Site, other: dict[str, str], patients: int) -> None:
    site.send(0)
    filed = site.send(10, SOPInstanceUID="1.2.3.2", **other)
    found = site.database.transaction(lambda tx: cases.patients_of(tx, filed.revision_id or 0))
    assert len(found) == patients


def test_a_study_without_patient_ids_names_one_unknown_patient(site: Site) -> None:
    site.send(0, PatientID="")
    filed = site.send(10, SOPInstanceUID="1.2.3.2", PatientID=None)
    assert site.database.transaction(lambda tx: cases.patients_of(tx, filed.revision_id or 0)) == (None,)
    assert site.count(Patient) == 0


def test_patient_data_stands_in_no_table_but_one(site: Site, ledger_url: str) -> None:
    site.send(0, PatientName="Sehrselten^Vorname", PatientID="ID-4711", IssuerOfPatientID="HAUS-17")
    site.receive(5, b"no DICOM at all", SOPInstanceUID="1.2.3.2")
    site.file()
    with psycopg.connect(ledger_url) as connection:
        tables = connection.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE'"
        ).fetchall()
        holding = {
            name for (name,) in tables
            if any(
                word in str(connection.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(name))).fetchall())
                for word in ("Sehrselten", "ID-4711", "HAUS-17", "1970, 1, 2")
            )
        }
    assert holding == {"patients"}


@pytest.mark.parametrize("mark", ["equipment", "ledger"])
def test_what_is_ours_opens_nothing_and_keeps_no_study_open(site: Site, mark: str) -> None:
    first = site.send(0)
    if mark == "ledger":
        site.database.transaction(lambda tx: tx.add(ResultRow(
            revision_id=first.revision_id, form=Form.REPORT_SR, sop_class_uid=SR, sop_instance_uid="2.25.1",
            series_instance_uid="2.25.2", transfer_syntax_uid="1.2.840.10008.1.2.1", sha256="0" * 64, length=1, about=[],
            composed_at=site.at(0),
        )))
    for seconds, sop_class in ((50, SR), (55, "1.2.840.10008.5.1.4.1.1.7")):
        back = site.send(
            seconds, SOPInstanceUID="2.25.1", SOPClassUID=sop_class, **(ours() if mark == "equipment" else {})
        )
        assert (back.role, back.placement, back.revision_id) == (InstanceRole.OURS, None, None)
    (open_one,) = site.database.transaction(cases.receiving)
    assert open_one.arrivals.last_at == site.at(0)
    assert site.members(first.revision_id) == ["1.2.3.1"]


def test_what_is_ours_of_a_study_that_we_never_saw_opens_no_revision(site: Site) -> None:
    site.send(0, SOPClassUID=SR, SOPInstanceUID="2.25.1", **ours())
    assert (site.count(Case), site.count(Revision)) == (1, 0)


def test_evidence_of_others_is_kept_with_the_case_and_belongs_to_no_revision(site: Site) -> None:
    filed = site.send(0, SOPClassUID=SR, SOPInstanceUID="1.2.3.9")
    assert (filed.role, filed.placement, filed.revision_id) == (InstanceRole.OTHER, None, None)
    image = site.send(10)
    assert image.placement is Placement.FIRST
    assert site.members(image.revision_id) == ["1.2.3.1"]
    again = site.send(20, SOPClassUID=SR, SOPInstanceUID="1.2.3.9")
    assert (again.instance_id, again.placement) == (filed.instance_id, None)


def test_an_object_that_cannot_be_read_opens_a_revision_that_says_so(site: Site) -> None:
    site.receive(0, b"no DICOM at all")
    (filed,) = site.file()
    assert (filed.role, filed.placement) == (InstanceRole.UNREADABLE, Placement.FIRST)
    revision = filed.revision_id or 0
    (kept,) = site.database.transaction(lambda tx: cases.unreadable(tx, revision))
    assert kept.sop_instance_uid == "1.2.3.1"
    assert site.database.transaction(lambda tx: images(tx, revision)) == []
    assert site.database.transaction(lambda tx: cases.patients_of(tx, revision)) == ()
    why = site.database.transaction(lambda tx: tx.scalar(select(Instance.unreadable)))
    assert why == "the file has no DICM prefix"


def test_the_repaired_object_takes_the_place_of_the_unreadable_one(site: Site) -> None:
    site.receive(0, b"no DICOM at all")
    site.file()
    repaired = site.send(10)
    assert repaired.placement is Placement.JOINS
    assert site.database.transaction(lambda tx: cases.unreadable(tx, repaired.revision_id or 0)) == ()


def test_evidence_that_cannot_be_read_is_kept_and_rejects_no_case(site: Site) -> None:
    site.receive(0, b"no DICOM at all", SOPClassUID=SR)
    (filed,) = site.file()
    assert (filed.role, filed.revision_id) == (InstanceRole.OTHER, None)


def test_peers_are_remembered_with_their_first_and_last_time(site: Site) -> None:
    site.send(10, SOPInstanceUID="1.2.3.1")
    site.send(5, SOPInstanceUID="1.2.3.2")
    site.send(20, SOPInstanceUID="1.2.3.3")
    (peer,) = site.database.transaction(lambda tx: list(tx.scalars(select(Peer))))
    assert (peer.ae_title, peer.first_seen_at, peer.last_seen_at) == ("MODALITY", site.at(5), site.at(20))


def test_a_lesion_has_many_images_by_tracking_uid_or_by_site_and_side(site: Site) -> None:
    region = Dataset()
    region.CodeValue, region.CodingSchemeDesignator, region.CodeMeaning = "39937001", "SCT", "Skin"
    site_of_skin = {"AnatomicRegionSequence": Sequence([region])}
    tracked = {"TrackingID": "mole", "TrackingUID": "1.2.3.77"}
    sent: list[dict[str, Any]] = [
        tracked, {**tracked, **site_of_skin}, site_of_skin, {**site_of_skin, "Laterality": "L"}, site_of_skin, {}, {},
    ]
    for index, elements in enumerate(sent):
        site.send(index, SOPInstanceUID=f"1.2.3.{index + 1}", **elements)
    images: list[tuple[str | None, str | None, str | None, int]] = site.database.transaction(lambda tx: [
        tuple(row) for row in tx.execute(  # type: ignore[misc]
            select(Lesion.tracking_uid, Lesion.site_code, Lesion.laterality, func.count())
            .join(LesionInstance, LesionInstance.lesion_id == Lesion.id).group_by(Lesion.id).order_by(Lesion.id)
        )
    ])
    assert images == [("1.2.3.77", "", "", 2), (None, "SCT:39937001", "", 2), (None, "SCT:39937001", "L", 1)]


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


def test_an_image_after_a_cancelled_revision_opens_the_next(site: Site) -> None:
    first = site.send(0)
    site.database.transaction(
        lambda tx: cases.take(tx, first.revision_id or 0, Step.CANCEL, actor="admin", now=site.at(1))
    )
    assert site.send(2, SOPInstanceUID="1.2.3.2").placement is Placement.LATE


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


def report(uid: str, committed: list[str], failed: list[list[object]]) -> bytes:
    return json.dumps({"transaction_uid": uid, "committed": committed, "failed": failed}).encode()


def test_a_commitment_report_is_kept_with_its_transaction_and_names_the_delivery(site: Site) -> None:
    filed = site.send(0)

    def ask(tx: Session) -> int:
        delivery = DeliveryRow(revision_id=filed.revision_id, destination="pacs", state=DeliveryState.SENT)
        tx.add(delivery)
        tx.flush()
        tx.add(CommitmentTransaction(
            transaction_uid="2.25.5", delivery_id=delivery.id, asked_at=site.at(1), deadline=site.at(99)
        ))
        return delivery.id

    delivery_id = site.database.transaction(ask)
    site.receive(2, report("2.25.5", ["1.2", "1.1"], [["1.3", 274]]), kind="commitment_report")
    (record,) = site.records()
    for second_payload in (report("2.25.5", ["1.2", "1.1"], [["1.3", 274]]), report("2.25.5", [], [])):
        answer = site.database.transaction(
            lambda tx, payload=second_payload: filing.file_report(tx, record, payload, now=site.at(3))  # type: ignore[misc]
        )
        assert answer == delivery_id
    kept = site.database.transaction(lambda tx: tx.scalars(select(CommitmentTransaction)).one())
    assert kept.report == {"committed": ["1.1", "1.2"], "failed": [["1.3", 274]]}
    assert kept.reported_at == site.at(3)


def test_a_report_on_what_we_never_asked_is_nobodys(site: Site) -> None:
    site.receive(2, report("2.25.6", [], []), kind="commitment_report")
    (record,) = site.records()
    payload = read.payload(site.folder, record.place)
    assert site.database.transaction(lambda tx: filing.file_report(tx, record, payload, now=site.at(3))) is None


@pytest.mark.parametrize("payload", [b"", b"[]", b"{}", b'{"transaction_uid": "1", "committed": [], "failed": [["1"]]}'])
def test_a_report_in_another_form_is_a_defect_that_says_where_it_lies(site: Site, payload: bytes) -> None:
    site.receive(2, payload, kind="commitment_report")
    (record,) = site.records()
    place = replace(record.place, segment=3)
    with pytest.raises(Defect, match="listener-0, segment 3"):
        site.database.transaction(
            lambda tx: filing.file_report(tx, replace(record, place=place), payload, now=site.at(3))
        )

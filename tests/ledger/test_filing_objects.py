"""What is filed beside images of one patient: of others, ours, evidence, what cannot be read; whom and what it shows."""

from typing import Any

import psycopg
import pytest
from psycopg import sql
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from sqlalchemy import func, select

from derm_pacs.domain.composed import Form
from derm_pacs.domain.study import InstanceRole, Placement
from derm_pacs.ledger import cases
from derm_pacs.ledger.result_tables import ResultRow
from derm_pacs.ledger.tables import Case, Instance, Lesion, LesionInstance, Patient, Peer, Revision
from tests.ledger.filing_site import Site, images, ours

pytestmark = pytest.mark.server


SR = "1.2.840.10008.5.1.4.1.1.88.33"


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

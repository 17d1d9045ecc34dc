"""`derm-pacs bundles embed` on stored cases: decoded by a real confined runner, coloured by the bundle's call, in the audit trail."""

import csv
from datetime import timedelta
from pathlib import Path
from typing import cast

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

pytest.importorskip("sklearn", reason="needs the extra 'train'")

from derm_pacs.bundles import manifest
from derm_pacs.cli.exit_codes import ExitCode
from derm_pacs.domain.case import Step
from derm_pacs.domain.findings import BundleIdentity, Grade, OperatingPoint, Refusal
from derm_pacs.domain.routing import Route
from derm_pacs.domain.study import CloseReason, Complete
from derm_pacs.ledger import cases, filing, runs
from derm_pacs.ledger.tables import AuditRow, Bundle
from derm_pacs.spool.journal import Journal
from derm_pacs.spool.read import Position, payload, records
from derm_pacs.spool.record import RecordHeader
from tests.derm_training.measuring.test_embedding import CLASSIFIER
from tests.inference.conftest import describe, part10, skin
from tests.results.conftest import diagnosis

from .conftest import NOW, PATIENT_ID, PATIENT_NAME, QUIET, STUDY, Installation

pytestmark = pytest.mark.server

COUNT = 7
_CLASS = "1.2.840.10008.5.1.4.1.1.77.1.7"


@pytest.fixture
def analysed(installation: Installation, tmp_path: Path) -> Installation:
    """An installation with one case of seven images, six of them called by a bundle and the last refused."""
    folder = tmp_path / "bundle"
    folder.mkdir()
    describe(folder, **cast(dict[str, object], CLASSIFIER))
    listed = manifest.written(manifest.entry(path, (folder / path).read_bytes()) for path in manifest.files(folder))
    (folder / manifest.MANIFEST).write_bytes(listed)
    _receive(installation)
    installation.database.transaction(lambda tx: _analyse(tx, folder, manifest.content_hash(listed)))
    return installation


def _receive(installation: Installation) -> None:
    spool = installation.settings.spool_dir
    with Journal(spool / "listener-0", segment_bytes=1 << 20, reserve_bytes=0) as journal:
        for number in range(1, COUNT + 1):
            image = part10(
                skin(60, 80, seed=number), SOPInstanceUID=f"{STUDY}.1.{number}", StudyInstanceUID=STUDY, SeriesInstanceUID=f"{STUDY}.1",
                Modality="XC", PatientName=PATIENT_NAME, PatientID=PATIENT_ID,
            )
            header = RecordHeader(
                kind="object", calling_ae="CAMERA", called_ae="DERMPACS", received_at=NOW, sop_class_uid=_CLASS,
                sop_instance_uid=f"{STUDY}.1.{number}", study_instance_uid=STUDY, series_instance_uid=f"{STUDY}.1",
                transfer_syntax_uid="1.2.840.10008.1.2.1",
            )
            journal.append(header, [image])

    def file(tx: Session) -> None:
        facility = filing.ensure_facility(tx, installation.settings.facility)
        for record in records(spool / "listener-0", Position(0, 0)):
            filing.file_record(tx, record, payload(spool, record.place), facility_id=facility, quiet=QUIET, now=NOW)

    installation.database.transaction(file)


def _analyse(tx: Session, folder: Path, content_hash: str) -> None:
    revision = cases.receiving(tx)[0].revision_id
    cases.close(tx, revision, Complete(reason=CloseReason.QUIET, at=NOW + timedelta(minutes=1)), actor="clock", now=NOW)
    cases.take(tx, revision, Step.BEGIN_ANALYSIS, actor="derm-pacs", now=NOW)
    identity = BundleIdentity(name="tiny", version="1.0.0", content_hash=content_hash, title="A tiny bundle", grade=Grade.RESEARCH)
    bundle = Bundle(
        name="tiny", version="1.0.0", content_hash=content_hash, title="A tiny bundle", grade=Grade.RESEARCH, licence="free",
        folder=str(folder), installed_at=NOW, active=True,
    )
    tx.add(bundle)
    tx.flush()
    point = OperatingPoint(id="melanoma", output="diagnosis", positive="melanoma", threshold=0.4, set_by="Dr. Lead")
    known = runs.ActiveBundle(bundle_id=bundle.id, folder=bundle.folder, operating_points=(point,), identity=identity)
    route = Route(name="all", sop_classes=frozenset(), modalities=frozenset(), bundles=("tiny",), destinations=("pacs",))
    run = runs.begin(tx, revision_id=revision, bundle=known, route_id=runs.remember_route(tx, route, NOW), settings={}, now=NOW)
    images = runs.images(tx, revision)
    runs.finish(
        tx, run_id=run, reused_from=None, now=NOW, lesion_rules=(),
        findings=[
            (image.instance_id, 1, (diagnosis(0.45 if number < 2 else 0.1),) if number < COUNT - 1 else (Refusal(reason="poor_quality_blur"),))
            for number, image in enumerate(images)
        ],
    )
    cases.take(tx, revision, Step.FINISH_ANALYSIS, actor="derm-pacs", now=NOW)


def test_stored_images_are_laid_out_by_the_call_and_the_look_at_them_is_audited(analysed: Installation, tmp_path: Path) -> None:
    out = tmp_path / "out"
    said = analysed.run("bundles", "embed", "tiny", "--out", str(out), "--actor", "lead", "--reason", "drift")
    assert said.status == ExitCode.OK, said.talk
    assert "A tiny bundle 1.0.0: features of 1 stored cases" in said.out
    assert "6 pictures, coloured by call: melanoma 2, nevus 4." in said.out
    with (out / "embedding.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert {row["picture"] for row in rows} == {f"{STUDY}.1.{number} frame 1" for number in range(1, COUNT)}
    assert {row["case"] for row in rows} == {"1"}
    assert out.stat().st_mode & 0o077 == 0, "for its owner only"
    everything = said.out + said.talk + "".join(file.read_text(errors="replace") for file in out.iterdir())
    assert PATIENT_ID not in everything
    assert PATIENT_NAME not in everything
    (row,) = analysed.database.transaction(lambda tx: tx.scalars(select(AuditRow).where(AuditRow.action == "bundle.embed")).all())
    assert (row.actor, row.reason, row.subject) == ("lead", "drift", "bundle tiny")


def test_images_that_retention_took_are_counted(analysed: Installation, tmp_path: Path) -> None:
    for segment in (analysed.settings.spool_dir / "listener-0").iterdir():
        segment.unlink()
    said = analysed.run("bundles", "embed", "tiny", "--out", str(tmp_path / "out"))
    assert said.status == ExitCode.FAILED
    assert "0 pictures are too few" in said.talk
    assert "Left out: 6 images that are no longer stored." in said.talk


def test_what_is_not_installed_or_no_case_is_told(analysed: Installation, tmp_path: Path) -> None:
    said = analysed.run("bundles", "embed", "other", "--out", str(tmp_path / "out"))
    assert said.status == ExitCode.NOT_FOUND
    assert "no bundle 'other' is installed" in said.talk
    assert analysed.run("bundles", "embed", "tiny", "--case", "99", "--out", str(tmp_path / "out")).status == ExitCode.NOT_FOUND

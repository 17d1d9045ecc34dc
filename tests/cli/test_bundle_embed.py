"""`derm-pacs bundles embed` on stored cases: decoded by a real confined runner, coloured by the bundle's call, in the audit trail."""

import csv
from pathlib import Path
from typing import cast

import pytest
from sqlalchemy import select

pytest.importorskip("sklearn", reason="needs the extra 'train'")

from derm_pacs.cli.exit_codes import ExitCode
from derm_pacs.domain.findings import Outcome, Refusal
from derm_pacs.ledger.tables import AuditRow
from derm_pacs.spool.record import RecordHeader
from tests.derm_training.experiments.test_embedding import CLASSIFIER
from tests.inference.conftest import part10, skin
from tests.results.conftest import diagnosis

from .analysed_case import analyse, header, receive, tiny_bundle
from .conftest import PATIENT_ID, PATIENT_NAME, STUDY, Installation

pytestmark = pytest.mark.server

COUNT = 7


@pytest.fixture
def analysed(installation: Installation, tmp_path: Path) -> Installation:
    """An installation with one case of seven images, six of them called by a bundle and the last refused."""
    content_hash = tiny_bundle(tmp_path / "bundle", **cast(dict[str, object], CLASSIFIER))
    receive(installation, [_image(number) for number in range(1, COUNT + 1)])
    installation.database.transaction(lambda tx: analyse(tx, tmp_path / "bundle", content_hash, _said))
    return installation


def _image(number: int) -> tuple[RecordHeader, bytes]:
    uid, series = f"{STUDY}.1.{number}", f"{STUDY}.1"
    image = part10(
        skin(60, 80, seed=number), SOPInstanceUID=uid, StudyInstanceUID=STUDY, SeriesInstanceUID=series, Modality="XC",
        PatientName=PATIENT_NAME, PatientID=PATIENT_ID,
    )  # fmt: skip
    return header(sop_class="1.2.840.10008.5.1.4.1.1.77.1.7", uid=uid, study=STUDY, series=series), image


def _said(number: int) -> tuple[Outcome, ...]:
    return (diagnosis(0.45 if number < 2 else 0.1),) if number < COUNT - 1 else (Refusal(reason="poor_quality_blur"),)


def test_stored_images_are_laid_out_by_the_call_and_the_look_at_them_is_audited(analysed: Installation, tmp_path: Path) -> None:
    out = tmp_path / "out"
    said = analysed.run("bundles", "embed", "tiny", "--out", str(out), "--actor", "lead", "--reason", "drift")
    assert said.status == ExitCode.OK, said.talk
    assert "A tiny bundle 1.0.0: features of 1 stored cases" in said.out
    assert "6 pictures, coloured by call: melanoma 2, nevus 4." in said.out
    assert said.out.rstrip().endswith("For research use; not for primary diagnosis.")
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

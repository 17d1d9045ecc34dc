"""`derm-pacs cases pdf`: the report that was sent, or one made on demand of the same findings."""

import io
import stat
from pathlib import Path

import pypdf
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from derm_pacs.cli.exit_codes import ExitCode
from derm_pacs.domain.composed import Composed, Form
from derm_pacs.domain.edition import Edition
from derm_pacs.ledger import results
from derm_pacs.ledger.tables import AuditRow
from tests.results.conftest import STUDY, Source, diagnosis, outlined

from .analysed_case import analyse, header, receive, tiny_bundle
from .conftest import NOW, Installation

pytestmark = pytest.mark.server

SOURCE = Source(rows=60, columns=80)


@pytest.fixture
def composed(installation: Installation, tmp_path: Path) -> Installation:
    """An installation with one analysed and composed case, whose destination gets a report SR alone."""
    content_hash = tiny_bundle(tmp_path / "bundle")
    _receive(installation)

    def compose(tx: Session) -> None:
        analyse(tx, tmp_path / "bundle", content_hash, lambda _: (diagnosis(0.8731234), outlined(SOURCE.mask)))
        _keep(tx, Form.REPORT_SR, "1.2.840.10008.5.1.4.1.1.88.34", "2.25.11", b"a report")

    installation.database.transaction(compose)
    return installation


def _receive(installation: Installation) -> None:
    one = SOURCE.stored
    head = header(
        sop_class=one.sop_class_uid, uid=one.sop_instance_uid, study=STUDY, series=one.series_instance_uid, syntax=one.transfer_syntax_uid
    )
    receive(installation, [(head, SOURCE.part10)])


def _keep(tx: Session, form: Form, sop_class: str, uid: str, data: bytes) -> None:
    one = Composed(
        form=form, sop_class_uid=sop_class, sop_instance_uid=uid, series_instance_uid=f"{uid}.1",
        transfer_syntax_uid="1.2.840.10008.1.2.1", sha256=uid[-1] * 64, about=(SOURCE.uid,), data=data,
    )
    results.keep(tx, 1, Edition(forms=frozenset({form})), [one], NOW)


def text(file: Path) -> str:
    return " ".join(" ".join(page.extract_text().split()) for page in pypdf.PdfReader(io.BytesIO(file.read_bytes())).pages)


def test_a_report_is_made_of_the_findings_where_no_destination_gets_one(composed: Installation, tmp_path: Path) -> None:
    out = tmp_path / "report.pdf"
    said = composed.run("cases", "pdf", "1", "--out", str(out), "--reason", "for the file")
    assert said.status == ExitCode.OK, said.talk
    printed = text(out)
    for part in ("research use, not for primary diagnosis", "Melanoma 87.3 %", "40 %, Dr. Lead", "Muster Erika", "Pictures"):
        assert part in printed
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert len(composed.run("cases", "show", "1", "--json").value["revisions"][0]["results"]) == 1, "nothing of it is kept"


def test_the_report_that_was_sent_is_printed_as_it_was(composed: Installation, tmp_path: Path) -> None:
    made, again = tmp_path / "made.pdf", tmp_path / "again.pdf"
    assert composed.run("cases", "pdf", STUDY, "--out", str(made)).status == ExitCode.OK
    part10 = _wrapped(made.read_bytes())
    path = composed.settings.results_dir / "22" / ("2" * 64)
    path.parent.mkdir(parents=True)
    path.write_bytes(part10)
    composed.database.transaction(lambda tx: _keep(tx, Form.PDF, "1.2.840.10008.5.1.4.1.1.104.1", "2.25.2", part10))
    assert composed.run("cases", "pdf", "1", "--out", str(again)).status == ExitCode.OK
    assert again.read_bytes() == made.read_bytes()
    path.unlink()
    missing = composed.run("cases", "pdf", "1", "--out", str(tmp_path / "third.pdf"))
    assert missing.status == ExitCode.FAILED and "cannot be read" in missing.talk


def _wrapped(document: bytes) -> bytes:
    import pydicom  # noqa: PLC0415 - for this one test

    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = pydicom.uid.EncapsulatedPDFStorage, "2.25.2"
    dataset.EncapsulatedDocumentLength = len(document)
    dataset.EncapsulatedDocument = document + b"\0" * (len(document) % 2)
    with io.BytesIO() as buffer:
        pydicom.dcmwrite(buffer, dataset, enforce_file_format=True)
        return buffer.getvalue()


def test_a_print_stands_in_the_audit_trail_with_actor_and_reason(composed: Installation, tmp_path: Path) -> None:
    out = str(tmp_path / "report.pdf")
    composed.run("cases", "pdf", "1", "--out", out, "--actor", "Dr. Who", "--reason", "second reading")
    row = composed.database.transaction(lambda tx: tx.scalars(select(AuditRow).where(AuditRow.action == "case.print")).one())
    assert (row.actor, row.subject, row.reason) == ("Dr. Who", "case 1", "second reading")


def test_a_file_is_never_overwritten(composed: Installation, tmp_path: Path) -> None:
    out = tmp_path / "report.pdf"
    out.write_bytes(b"mine")
    said = composed.run("cases", "pdf", "1", "--out", str(out))
    assert said.status == ExitCode.REFUSED and "exists" in said.talk
    assert out.read_bytes() == b"mine"


def test_a_missing_folder_is_named(composed: Installation, tmp_path: Path) -> None:
    said = composed.run("cases", "pdf", "1", "--out", str(tmp_path / "no" / "report.pdf"))
    assert said.status == ExitCode.REFUSED and "name a file in a folder that exists" in said.talk


def test_a_case_without_results_and_no_case_are_told_apart(installation: Installation, tmp_path: Path) -> None:
    out = str(tmp_path / "report.pdf")
    assert installation.run("cases", "pdf", "1", "--out", out).status == ExitCode.NOT_FOUND
    _receive(installation)
    early = installation.run("cases", "pdf", "1", "--out", out)
    assert early.status == ExitCode.REFUSED and "has no results yet" in early.talk


def test_a_bundle_that_was_changed_shows_no_image_and_makes_no_report(composed: Installation, tmp_path: Path) -> None:
    (tmp_path / "bundle" / "LICENSE").write_text("other words")
    said = composed.run("cases", "pdf", "1", "--out", str(tmp_path / "report.pdf"))
    assert said.status == ExitCode.FAILED and "LICENSE was changed" in said.talk
    assert not (tmp_path / "report.pdf").exists()

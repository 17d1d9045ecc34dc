"""An installation with a migrated ledger and a case in it, and the command: run here, or as a process of its own."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian
from sqlalchemy.orm import Session

from derm_pacs.cli.main import run
from derm_pacs.domain.case import Step
from derm_pacs.domain.composed import Composed, Form
from derm_pacs.domain.delivery import DeliveryState
from derm_pacs.domain.edition import Agreed, Edition
from derm_pacs.domain.findings import (
    BundleIdentity,
    Classification,
    ClassProbability,
    Grade,
    OperatingPoint,
    Refusal,
    Segmentation,
)
from derm_pacs.domain.reasons import PEER_REFUSES
from derm_pacs.domain.routing import Route
from derm_pacs.domain.study import CloseReason, Complete, Quiet
from derm_pacs.ledger import cases, deliveries, filing, results, runs
from derm_pacs.ledger.database import Database
from derm_pacs.ledger.tables import Bundle
from derm_pacs.pipeline.editions import result_path
from derm_pacs.settings.model import DatabaseSettings, ListenerSettings, Settings
from derm_pacs.settings.peers import Peer
from derm_pacs.settings.write import to_toml
from derm_pacs.spool.journal import Journal
from derm_pacs.spool.read import Position, payload, records
from derm_pacs.spool.record import RecordHeader

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
STUDY = "1.2.826.0.1.3680043.8.498.1"
PATIENT_NAME = "Mustermann^Erika"
PATIENT_ID = "PAT-4711"
_DERMOSCOPIC = "1.2.840.10008.5.1.4.1.1.77.1.7"
QUIET = Quiet(quiet=timedelta(seconds=60), cap=timedelta(hours=1))


@dataclass(frozen=True, slots=True)
class Said:
    """What a command answered."""

    status: int
    out: str
    talk: str

    @property
    def value(self) -> Any:
        """The JSON on stdout."""
        return json.loads(self.out)


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """Settings in a file, a database, and the command."""

    settings: Settings
    config: Path
    database: Database
    environment: Mapping[str, str] = field(default_factory=dict)

    def run(self, *arguments: str) -> Said:
        """Run `derm-pacs ARGUMENTS` in this process, whose start is most of what a short command costs."""
        environment = {"COLUMNS": "200", "DERM_PACS_CONFIG": str(self.config), **self.environment}
        with patch.dict(os.environ, environment), redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as talk:
            status = run(arguments)
        return Said(status, out.getvalue(), talk.getvalue())


def run_command(*arguments: str, environment: Mapping[str, str] = {}) -> Said:
    """Run `derm-pacs ARGUMENTS` as a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "derm_pacs", *arguments], capture_output=True, text=True, check=False, timeout=120,
        env={**os.environ, "COLUMNS": "200", **environment},
    )
    return Said(done.returncode, done.stdout, done.stderr)


def _installation(tmp_path: Path, url: str) -> Installation:
    settings = Settings(
        timezone="Europe/Berlin",
        data_dir=tmp_path / "data",
        database=DatabaseSettings(url=url),
        listener=ListenerSettings(ae_title="DERMPACS"),
        peers=(Peer(name="camera", ae_title="CAMERA", may_send=True),),
    )
    settings.data_dir.mkdir()
    config = tmp_path / "derm-pacs.toml"
    config.write_text(to_toml(settings), encoding="utf-8")
    return Installation(settings=settings, config=config, database=Database(url))


@pytest.fixture
def unmigrated(tmp_path: Path, database_url: str) -> Installation:
    """An installation whose database is empty."""
    return _installation(tmp_path, database_url)


@pytest.fixture
def installation(tmp_path: Path, ledger_url: str) -> Installation:
    """An installation with an empty ledger."""
    return _installation(tmp_path, ledger_url)


@pytest.fixture
def held(installation: Installation) -> Installation:
    """An installation with one case: two images, both analysed by a bundle, held in delivery."""
    _receive(installation.settings)
    installation.database.transaction(lambda tx: _file(tx, installation.settings))
    result = result_path(installation.settings.results_dir, "a" * 64)
    result.parent.mkdir(parents=True)
    result.write_bytes(b"a result")
    installation.database.transaction(_walk_until_held)
    return installation


@pytest.fixture
def grown(held: Installation) -> Installation:
    """The installation of `held`, after a late image opened the case's second revision."""
    _receive(held.settings, numbers=(3,), at=NOW + timedelta(minutes=10))
    held.database.transaction(lambda tx: _file(tx, held.settings))
    return held


def _part10(number: int) -> bytes:
    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.MediaStorageSOPClassUID = image.SOPClassUID = UID(_DERMOSCOPIC)
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID = UID(f"{STUDY}.1.{number}")
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.StudyInstanceUID, image.SeriesInstanceUID = STUDY, f"{STUDY}.1"
    image.PatientName, image.PatientID, image.Modality = PATIENT_NAME, PATIENT_ID, "XC"
    image.Rows, image.Columns, image.SamplesPerPixel, image.BitsAllocated = 4, 4, 3, 8
    image.PixelData = bytes([number]) * 48
    out = io.BytesIO()
    image.save_as(out, enforce_file_format=True)
    return out.getvalue()


def _receive(settings: Settings, *, numbers: tuple[int, ...] = (1, 2), at: datetime = NOW) -> None:
    with Journal(settings.spool_dir / "listener-0", segment_bytes=1 << 20, reserve_bytes=0) as journal:
        for number in numbers:
            header = RecordHeader(
                kind="object", calling_ae="CAMERA", called_ae="DERMPACS", received_at=at, sop_class_uid=_DERMOSCOPIC,
                sop_instance_uid=f"{STUDY}.1.{number}", study_instance_uid=STUDY, series_instance_uid=f"{STUDY}.1",
                transfer_syntax_uid=str(ExplicitVRLittleEndian),
            )
            journal.append(header, [_part10(number)])


def _file(tx: Session, settings: Settings) -> None:
    facility = filing.ensure_facility(tx, settings.facility)
    for record in records(settings.spool_dir / "listener-0", Position(0, 0)):
        filing.file_record(tx, record, payload(settings.spool_dir, record.place), facility_id=facility, quiet=QUIET, now=NOW)
        filing.advance(tx, "listener-0", record.next, NOW)


def _walk_until_held(tx: Session) -> None:
    revision = cases.receiving(tx)[0].revision_id
    cases.close(tx, revision, Complete(reason=CloseReason.QUIET, at=NOW + timedelta(minutes=1)), actor="clock", now=NOW)
    cases.take(tx, revision, Step.BEGIN_ANALYSIS, actor="derm-pacs", now=NOW)
    _analyse(tx, revision)
    cases.take(tx, revision, Step.FINISH_ANALYSIS, actor="derm-pacs", now=NOW)
    report = Composed(
        form=Form.REPORT_SR, sop_class_uid="1.2.840.10008.5.1.4.1.1.88.34", sop_instance_uid="2.25.11", series_instance_uid="2.25.12",
        transfer_syntax_uid="1.2.840.10008.1.2.1", sha256="a" * 64, about=(f"{STUDY}.1.1",), data=b"a result",
    )
    edition = Edition(forms=frozenset({Form.REPORT_SR}))
    results.keep(tx, revision, edition, [report], NOW)
    cases.take(tx, revision, Step.FINISH_COMPOSING, actor="derm-pacs", now=NOW)
    (delivery,) = deliveries.open_all(tx, revision, {"pacs": Agreed(edition=edition, left_out=())})
    row = deliveries.locked(tx, delivery)
    assert row is not None
    deliveries.move(row, DeliveryState.REFUSED, now=NOW, reason=PEER_REFUSES, detail="ORTHANC at 127.0.0.1:4242")
    cases.take(tx, revision, Step.HOLD, actor="derm-pacs", reason=PEER_REFUSES, detail="pacs", now=NOW)


def _analyse(tx: Session, revision: int) -> None:
    tx.add(Bundle(
        name="melanoma_nevus_alexnet", version="1.0.0", content_hash="c" * 64, title="Melanoma against nevus", grade=Grade.RESEARCH,
        licence="CC-BY-NC", folder="melanoma_nevus_alexnet/1.0.0", installed_at=NOW, active=True,
    ))
    tx.flush()
    bundle = runs.active_bundle(tx, "melanoma_nevus_alexnet")
    assert bundle is not None
    point = OperatingPoint(id="melanoma", output="diagnosis", positive="melanoma", threshold=0.4, set_by="Dr. Lead")
    known = runs.ActiveBundle(
        bundle_id=bundle.bundle_id, folder=bundle.folder, operating_points=(point,),
        identity=BundleIdentity(
            name="melanoma_nevus_alexnet", version="1.0.0", content_hash="c" * 64, title="Melanoma against nevus", grade=Grade.RESEARCH,
        ),
    )
    route = Route(name="dermoscopy", sop_classes=frozenset(), modalities=frozenset(), bundles=("melanoma_nevus_alexnet",), destinations=("pacs",))
    run = runs.begin(tx, revision_id=revision, bundle=known, route_id=runs.remember_route(tx, route, NOW), settings={}, now=NOW)
    first, second = runs.images(tx, revision)
    mask = np.zeros((4, 4), dtype=np.bool_)
    mask[1:3, 1:3] = True
    chances = Classification(output="diagnosis", probabilities=(
        ClassProbability(class_id="nevus", concept="nevus", probability=0.25),
        ClassProbability(class_id="melanoma", concept="melanoma", probability=0.75),
    ))
    found = (chances, Segmentation(output="lesion", concept="lesion", threshold=0.5, mask=mask))
    runs.finish(
        tx, run_id=run, reused_from=None, now=NOW, lesion_rules=(),
        findings=[
            (first.instance_id, 1, found),
            (second.instance_id, 1, [Refusal(reason="poor_quality_blur", detail="Laplacian variance 3 below 20")]),
        ],
    )

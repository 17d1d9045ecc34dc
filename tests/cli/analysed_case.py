"""A case on its walk to analysed, by a tiny bundle that lies in a folder: what tests of the commands begin with."""

from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from pathlib import Path

from sqlalchemy.orm import Session

from derm_pacs.bundles import manifest
from derm_pacs.domain.case import Step
from derm_pacs.domain.findings import BundleIdentity, Grade, OperatingPoint, Outcome
from derm_pacs.domain.routing import Route
from derm_pacs.domain.study import CloseReason, Complete
from derm_pacs.ledger import cases, filing, runs
from derm_pacs.ledger.tables import Bundle
from derm_pacs.spool.journal import Journal
from derm_pacs.spool.read import Position, payload, records
from derm_pacs.spool.record import RecordHeader
from tests.inference.conftest import describe

from .conftest import NOW, QUIET, Installation


def tiny_bundle(folder: Path, **changes: object) -> str:
    """Write a bundle with its manifest into `folder`, and return its content hash."""
    folder.mkdir()
    describe(folder, **changes)
    listed = manifest.written(manifest.entry(path, (folder / path).read_bytes()) for path in manifest.files(folder))
    (folder / manifest.MANIFEST).write_bytes(listed)
    return manifest.content_hash(listed)


def header(*, sop_class: str, uid: str, study: str, series: str, syntax: str = "1.2.840.10008.1.2.1") -> RecordHeader:
    return RecordHeader(
        kind="object", calling_ae="CAMERA", called_ae="DERMPACS", received_at=NOW, sop_class_uid=sop_class, sop_instance_uid=uid,
        study_instance_uid=study, series_instance_uid=series, transfer_syntax_uid=syntax,
    )  # fmt: skip


def receive(installation: Installation, objects: Iterable[tuple[RecordHeader, bytes]]) -> None:
    """Put objects into the spool and file them."""
    spool = installation.settings.spool_dir
    with Journal(spool / "listener-0", segment_bytes=1 << 20, reserve_bytes=0) as journal:
        for head, part10 in objects:
            journal.append(head, [part10])

    def file(tx: Session) -> None:
        facility = filing.ensure_facility(tx, installation.settings.facility)
        for record in records(spool / "listener-0", Position(0, 0)):
            filing.file_record(tx, record, payload(spool, record.place), facility_id=facility, quiet=QUIET, now=NOW)

    installation.database.transaction(file)


def analyse(tx: Session, folder: Path, content_hash: str, found: Callable[[int], Sequence[Outcome]]) -> None:
    """Close the only case and analyse it by the bundle in `folder`; `found` says what of the image of a number, from 0 on."""
    revision = cases.receiving(tx)[0].revision_id
    cases.close(tx, revision, Complete(reason=CloseReason.QUIET, at=NOW + timedelta(minutes=1)), actor="clock", now=NOW)
    cases.take(tx, revision, Step.BEGIN_ANALYSIS, actor="derm-pacs", now=NOW)
    bundle = Bundle(
        name="tiny", version="1.0.0", content_hash=content_hash, title="A tiny bundle", grade=Grade.RESEARCH, licence="free",
        folder=str(folder), installed_at=NOW, active=True,
    )
    tx.add(bundle)
    tx.flush()
    point = OperatingPoint(id="melanoma", output="diagnosis", positive="melanoma", threshold=0.4, set_by="Dr. Lead")
    identity = BundleIdentity(name="tiny", version="1.0.0", content_hash=content_hash, title="A tiny bundle", grade=Grade.RESEARCH)
    known = runs.ActiveBundle(bundle_id=bundle.id, folder=bundle.folder, operating_points=(point,), identity=identity)
    route = Route(name="all", sop_classes=frozenset(), modalities=frozenset(), bundles=("tiny",), destinations=("pacs",))
    run = runs.begin(tx, revision_id=revision, bundle=known, route_id=runs.remember_route(tx, route, NOW), settings={}, now=NOW)
    findings = [(image.instance_id, 1, found(number)) for number, image in enumerate(runs.images(tx, revision))]
    runs.finish(tx, run_id=run, reused_from=None, now=NOW, lesion_rules=(), findings=findings)
    cases.take(tx, revision, Step.FINISH_ANALYSIS, actor="derm-pacs", now=NOW)

"""The walk of studies in one process: the real spool, ledger, queue and stages; the test moves the clock.

Only the bundles' answers are given by the test: what a destination gets of a finding does not depend on how the
finding came about.
"""

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from derm_pacs.delivery.interface import Destination, RecordDestination, Target
from derm_pacs.domain.case import ENDS, State
from derm_pacs.domain.findings import (
    BundleIdentity,
    Classification,
    ClassProbability,
    Combine,
    Grade,
    LesionRule,
    OperatingPoint,
    Outcome,
    Preview,
    Rectangle,
    Saliency,
    Segmentation,
)
from derm_pacs.ledger import bundles, deliveries, filing, reading
from derm_pacs.ledger.database import Database
from derm_pacs.ledger.reading import CaseStory, RevisionStory
from derm_pacs.ledger.result_tables import CommitmentTransaction, DeliveryRow
from derm_pacs.pipeline import close, editions, file, queue
from derm_pacs.pipeline.queue import Task
from derm_pacs.pipeline.runners import Runners
from derm_pacs.pipeline.site import Site
from derm_pacs.pipeline.walk import tasks
from derm_pacs.settings.model import Settings
from derm_pacs.spool.journal import Journal
from derm_pacs.spool.record import RecordHeader
from tests.acceptance.hospital import as_bytes

START = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
DERMOSCOPIC = "1.2.840.10008.5.1.4.1.1.77.1.7"
MELANOMA = 0.7


@dataclass
class Clock:
    """The time of the site."""

    at: datetime = START

    def __call__(self) -> datetime:
        return self.at


def said_of(rows: int, columns: int, *, melanoma: float = MELANOMA) -> tuple[Outcome, ...]:
    """Return what the test's bundle says of a frame: two classes with saliency, and a round outline."""
    y, x = np.mgrid[:rows, :columns]
    mask = (y - rows / 2) ** 2 + (x - columns / 2) ** 2 < (rows / 4) ** 2
    grid = np.linspace(0, 255, 64, dtype=np.uint8).reshape(8, 8)
    return (
        Classification(
            output="class",
            probabilities=(
                ClassProbability(class_id="melanoma", concept="melanoma", probability=melanoma),
                ClassProbability(class_id="nevus", concept="melanocytic_nevus", probability=1 - melanoma),
            ),
            saliency=Saliency(method="grad_cam", class_id="melanoma", grid=grid),
        ),
        Segmentation(output="lesion", concept="skin_lesion", threshold=0.5, mask=mask),
    )


class Answers(Runners):
    """What the bundles say, as the test gives it; no process is started."""

    def __init__(self, settings: Settings, say: Callable[[pydicom.Dataset], tuple[Outcome, ...]]) -> None:
        super().__init__(settings.analysis)
        self.say = say
        self.shown = 0

    def analyse(
        self, folder: Path, content_hash: str, part10: bytes, crops: Mapping[int, Sequence[Rectangle]] | None = None
    ) -> tuple[tuple[int, tuple[Outcome, ...]], ...]:
        image = pydicom.dcmread(io.BytesIO(part10), stop_before_pixels=True)
        return ((1, self.say(image)),)

    def previews(self, folder: Path, content_hash: str, part10: bytes) -> Mapping[int, Preview]:
        self.shown += 1
        image = pydicom.dcmread(io.BytesIO(part10), stop_before_pixels=True)
        ramp = np.linspace(60, 200, image.Columns, dtype=np.uint8)
        return {1: np.ascontiguousarray(np.broadcast_to(ramp[None, :, None], (image.Rows, image.Columns, 3)))}

    def lesion_rules(self, folder: Path, content_hash: str) -> tuple[LesionRule, ...]:
        return (LesionRule(output="class", combine=Combine.MEAN),)

    def finds_crops(self, folder: Path, content_hash: str) -> bool:
        return False


class ImpatientSite(Site):
    """A site that waits seconds where a real one waits minutes for an answer."""

    def target(self, name: str) -> Target:
        found = super().target(name)
        if isinstance(found, Destination):
            return replace(found, connect_seconds=2.0, answer_seconds=5.0, store_seconds=1.0)
        if isinstance(found, RecordDestination):
            return replace(found, connect_seconds=2.0, answer_seconds=2.0)
        return found


@dataclass
class Way:
    """One installation with its ledger; studies walk through it when the test says so."""

    folder: Path
    database: Database
    settings: Settings
    say: Callable[[pydicom.Dataset], tuple[Outcome, ...]] = lambda image: said_of(image.Rows, image.Columns)
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.journal = Journal(self.settings.spool_dir / "listener-0", segment_bytes=100_000_000, reserve_bytes=0)
        self.answers = Answers(self.settings, self.say)
        self.site = ImpatientSite(
            settings=self.settings, database=self.database, installation_uid="2.25.77", runners=self.answers, now=self.clock
        )
        self.facility_id = self.database.transaction(lambda tx: filing.ensure_facility(tx, self.settings.facility))
        self.database.transaction(self._install)

    def _install(self, tx: Session) -> None:
        identity = BundleIdentity(
            name="test_bundle", version="1.0.0", content_hash="ab" * 32, title="Test bundle", grade=Grade.RESEARCH
        )
        point = OperatingPoint(id="melanoma", output="class", positive="melanoma", threshold=0.5, set_by="lead")
        made = bundles.add(
            tx, identity=identity, licence="test", folder=self.folder / "bundle", operating_points=[point], reason="test", now=self.clock()
        )
        bundles.make_active(tx, made)

    def receive(self, image: pydicom.Dataset) -> None:
        """Put an image into the spool, as the listener does."""
        header = RecordHeader(
            kind="object", calling_ae="CAMERA", called_ae="DERMPACS", received_at=self.clock(),
            sop_class_uid=str(image.SOPClassUID), sop_instance_uid=str(image.SOPInstanceUID),
            study_instance_uid=str(image.StudyInstanceUID), series_instance_uid=str(image.SeriesInstanceUID),
            transfer_syntax_uid=str(image.file_meta.TransferSyntaxUID),
        )
        self.journal.append(header, [as_bytes(image)])

    def file(self) -> None:
        """File what is in the spool."""
        while file.file_new(self.settings, self.database, self.facility_id, now=self.clock):
            pass

    def close(self) -> int:
        """Close the studies in which nothing new arrived."""
        return self.database.transaction(lambda tx: close.close_quiet(tx, self.settings.study.quiet()))

    def complete(self, *images: pydicom.Dataset) -> None:
        """Receive and file the images, and let the quiet time pass."""
        for image in images:
            self.receive(image)
        self.file()
        self.clock.at += timedelta(seconds=self.settings.study.quiet_seconds + 5)
        self.file()
        assert self.close() >= 1

    def step(self, *, nth: int = 0) -> Task | None:
        """Run the next job that is due, or the one `nth` behind it; returns its task, None where none is."""
        def take(tx: Session) -> tuple[str, int] | None:
            row = tx.execute(
                text(
                    "DELETE FROM procrastinate_jobs WHERE id = (SELECT id FROM procrastinate_jobs WHERE status = 'todo' "
                    "AND (scheduled_at IS NULL OR scheduled_at <= :now) ORDER BY id LIMIT 1 OFFSET :nth) "
                    "RETURNING task_name, (args->>'subject')::int"
                ),
                {"now": self.clock(), "nth": nth},
            ).one_or_none()
            return (str(row[0]), int(row[1])) if row is not None else None

        job = self.database.transaction(take)
        if job is None:
            return None
        task = Task(job[0])
        tasks(self.site)[task](job[1])
        return task

    def walk(self, *, until: timedelta = timedelta(days=3)) -> None:
        """Run jobs until none is left, moving the clock to the next one that is due; no longer than `until`."""
        end = self.clock() + until
        while True:
            if self.step() is not None:
                continue
            due = self.database.transaction(self._next_due)
            if due is None:
                return
            assert due <= end, "the walk does not end"
            self.clock.at = max(self.clock.at, due)
            self.database.transaction(self._ask_again)

    @staticmethod
    def _next_due(tx: Session) -> datetime | None:
        job = tx.execute(text("SELECT min(scheduled_at) FROM procrastinate_jobs WHERE status = 'todo'")).scalar_one()
        report = tx.scalars(
            select(CommitmentTransaction.deadline)
            .join(DeliveryRow, DeliveryRow.id == CommitmentTransaction.delivery_id)
            .where(DeliveryRow.state == "sent", CommitmentTransaction.reported_at.is_(None))
            .order_by(CommitmentTransaction.deadline.desc())
        ).first()
        known = [one for one in (job, report) if one is not None]
        return min(known) if known else None

    def _ask_again(self, tx: Session) -> None:
        """As the clock's tick."""
        live = queue.live_subjects(tx, Task.CONFIRM)
        for delivery_id in deliveries.overdue(tx, self.clock()):
            if delivery_id not in live:
                queue.defer(tx, Task.CONFIRM, delivery_id)

    def story(self, study_uid: str) -> CaseStory:
        """Return the story of a study's case."""
        def look(tx: Session) -> CaseStory:
            case_id = reading.case_id_of(tx, study_uid)
            assert case_id is not None
            return reading.story(tx, case_id)

        return self.database.transaction(look)

    def newest(self, study_uid: str) -> RevisionStory:
        """Return the newest revision of a study's case."""
        return self.story(study_uid).revisions[-1]

    def end_of(self, *images: pydicom.Dataset) -> RevisionStory:
        """Let a study walk to its end, and return its revision."""
        self.complete(*images)
        self.walk()
        ended = self.newest(str(images[0].StudyInstanceUID))
        assert State(ended.state) in ENDS
        return ended

    def result(self, sha256: str) -> bytes:
        """Return the bytes of a composed object."""
        return editions.result_path(self.settings.results_dir, sha256).read_bytes()


def settings_for(
    folder: Path, destinations: Sequence[Mapping[str, Any]], *, peers: Mapping[str, int], record_peers: Mapping[str, int] | None = None,
    web_peers: Mapping[str, int] | None = None, **sections: Any,
) -> Settings:
    """Return settings with these destinations; the three kinds of peers give the ports by name."""
    return Settings.model_validate({
        "facility": "Test hospital",
        "timezone": "Europe/Berlin",
        "data_dir": folder / "data",
        "study": {"quiet_seconds": 60.0},
        "delivery": {"deadline_minutes": 180.0, "commitment_minutes": 30.0},
        "peers": [{"name": name, "ae_title": name.upper(), "host": "127.0.0.1", "port": port} for name, port in peers.items()],
        "record_peers": [{"name": name, "host": "127.0.0.1", "port": port} for name, port in (record_peers or {}).items()],
        "web_peers": [{"name": name, "url": f"http://127.0.0.1:{port}/dicom-web"} for name, port in (web_peers or {}).items()],
        "destinations": list(destinations),
        "routes": [{
            "name": "dermoscopy", "sop_classes": [DERMOSCOPIC], "bundles": ["test_bundle"],
            "destinations": [one["name"] for one in destinations],
        }],
        **sections,
    })

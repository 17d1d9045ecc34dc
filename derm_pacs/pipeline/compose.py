"""Compose: SR and SEG are made from the findings, checked, and kept before anything is sent."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sqlalchemy.orm import Session

from derm_pacs.domain.case import State, Step
from derm_pacs.domain.composed import Composed, Identity
from derm_pacs.domain.errors import Defect
from derm_pacs.domain.findings import CaseFindings, FrameFinding, Refusal
from derm_pacs.domain.reasons import DEFECT, NO_ROUTE
from derm_pacs.domain.study import StoredInstance
from derm_pacs.ledger import cases, deliveries, results, runs
from derm_pacs.ledger.runs import RevisionImage
from derm_pacs.pipeline import analyse, queue, trying
from derm_pacs.pipeline.conclude import conclude
from derm_pacs.pipeline.queue import Task
from derm_pacs.pipeline.site import Site
from derm_pacs.pipeline.stage import Stage
from derm_pacs.results.check import check
from derm_pacs.results.compose import compose
from derm_pacs.spool import read


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What is to be said, of which images, under which identity."""

    revision_id: int
    case: CaseFindings
    images: tuple[StoredInstance, ...]
    identity: Identity


def claim(tx: Session, revision_id: int, site: Site) -> Given | None:
    """Take on a revision whose analysis is finished."""
    revision = trying.locked(tx, revision_id)
    if revision.state is not State.COMPOSING or not trying.begin_try(tx, revision, site):
        return None
    if revision.hash is None:
        raise Defect(DEFECT, f"revision {revision_id} composes without having been closed")
    images = runs.images(tx, revision_id)
    return Given(
        revision_id=revision_id,
        case=_with_unrouted(runs.case_findings(tx, revision_id), images),
        images=tuple(image.stored for image in images),
        identity=Identity(
            installation_uid=site.installation_uid,
            facility=site.settings.facility,
            revision=revision.number,
            revision_hash=revision.hash,
            predecessors=results.predecessors(tx, revision_id),
            made_at=revision.last_received_at.astimezone(site.settings.zone),
        ),
    )


def _with_unrouted(case: CaseFindings, images: Sequence[RevisionImage]) -> CaseFindings:
    """Add the images that no route took: the report names them too, so that none is left out in silence."""
    spoken_of = {finding.image.sop_instance_uid for finding in case.findings}
    unrouted = tuple(
        FrameFinding(
            bundle_hash="",
            image=image.stored,
            frame=1,
            outcomes=(Refusal(reason=NO_ROUTE.code, detail=f"modality {image.modality or 'absent'}"),),
        )
        for image in images
        if image.stored.sop_instance_uid not in spoken_of
    )
    return replace(case, findings=case.findings + unrouted)


def work(given: Given, site: Site) -> tuple[Composed, ...]:
    """Compose, read back and check the objects, and write their bytes into the results folder."""
    sources = {image.sop_instance_uid: read.payload(site.settings.spool_dir, image.place) for image in given.images}
    composed = compose(given.case, sources, given.identity)
    check(composed, given.case, sources)
    for one in composed:
        _write(result_path(site.settings.results_dir, one.sha256), one.data)
    return composed


def result_path(results_dir: Path, sha256: str) -> Path:
    """Return where the bytes of a composed object lie."""
    return results_dir / sha256[:2] / f"{sha256}.dcm"


def _write(path: Path, data: bytes) -> None:
    """Write the bytes under their hash; they are on the disk when this returns."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    staging = path.with_suffix(f".{os.getpid()}.new")
    with os.fdopen(os.open(staging, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    staging.rename(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def settle(tx: Session, given: Given, made: tuple[Composed, ...], site: Site) -> None:
    """Keep the objects' rows and open a delivery to each destination."""
    now = site.now()
    revision = trying.locked(tx, given.revision_id)
    results.keep(tx, given.revision_id, made, now)
    trying.end_tries(revision)
    cases.take(tx, given.revision_id, Step.FINISH_COMPOSING, actor=trying.ACTOR, now=now)
    named = analyse.destinations(tx, given.revision_id)
    if not given.case.analysed:
        named = analyse.answering_destinations(tx, given.revision_id, site)
    opened = deliveries.open_all(tx, given.revision_id, named)
    for delivery_id in opened:
        queue.defer(tx, Task.DELIVER, delivery_id)
    if not opened:  # nobody wants to hear of a refusal any more
        conclude(tx, given.revision_id, site)


STAGE = Stage(task=Task.COMPOSE, claim=claim, work=work, settle=settle, fail=trying.fail(Task.COMPOSE))

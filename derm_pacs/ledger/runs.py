"""Runs and findings of a revision: begun, kept, found again, and read back as the domain's values."""

import hashlib
import json
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from derm_pacs.domain.findings import (
    BundleIdentity,
    CaseFindings,
    Classification,
    ClassProbability,
    Combine,
    Crops,
    FrameFinding,
    LesionRule,
    Mask,
    OperatingPoint,
    Outcome,
    Rectangle,
    Refusal,
    Run,
    RunRole,
    Saliency,
    Segmentation,
)
from derm_pacs.domain.routing import Route
from derm_pacs.domain.study import InstanceRole, StoredInstance
from derm_pacs.ledger import cases
from derm_pacs.ledger.tables import (
    Bundle,
    FindingRow,
    Instance,
    OperatingPointRow,
    Revision,
    RevisionInstance,
    RouteRow,
    RunRow,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RevisionImage:
    """An image of a revision, with what routing looks at."""

    instance_id: int
    modality: str
    stored: StoredInstance


@dataclass(frozen=True, slots=True, kw_only=True)
class ActiveBundle:
    """An active version of a bundle with the operating points in force."""

    bundle_id: int
    identity: BundleIdentity
    folder: str
    operating_points: tuple[OperatingPoint, ...]


def images(tx: Session, revision_id: int) -> tuple[RevisionImage, ...]:
    """Return the revision's images that can be read, ordered by SOP Instance UID."""
    rows = tx.scalars(
        select(Instance)
        .join(RevisionInstance, RevisionInstance.instance_id == Instance.id)
        .where(RevisionInstance.revision_id == revision_id, Instance.role == InstanceRole.IMAGE)
        .order_by(Instance.sop_instance_uid, Instance.id)
    )
    return tuple(RevisionImage(instance_id=row.id, modality=row.modality, stored=cases.stored(row)) for row in rows)


def active_bundle(tx: Session, name: str) -> ActiveBundle | None:
    """Return the active version of the bundle of that name, None where none is active."""
    row = tx.scalars(select(Bundle).where(Bundle.name == name, Bundle.active)).one_or_none()
    if row is None:
        return None
    points = tx.scalars(
        select(OperatingPointRow)
        .where(OperatingPointRow.bundle_id == row.id, OperatingPointRow.current)
        .order_by(OperatingPointRow.point_id)
    )
    return ActiveBundle(
        bundle_id=row.id,
        identity=_identity(row),
        folder=row.folder,
        operating_points=tuple(
            OperatingPoint(
                id=point.point_id, output=point.output, positive=point.positive, threshold=point.threshold, set_by=point.set_by
            )
            for point in points
        ),
    )


def remember_route(tx: Session, route: Route, now: datetime) -> int:
    """Return the id of the row that holds this route as the settings name it now."""
    definition: dict[str, Any] = {
        "name": route.name,
        "sop_classes": sorted(route.sop_classes),
        "modalities": sorted(route.modalities),
        "bundles": list(route.bundles),
        "destinations": list(route.destinations),
        "reads_crops_of": dict(route.reads_crops_of),
        "clinical": route.clinical,
    }
    digest = hashlib.sha256(json.dumps(definition, sort_keys=True).encode()).hexdigest()
    tx.execute(
        insert(RouteRow).values(name=route.name, digest=digest, definition=definition, seen_at=now).on_conflict_do_nothing()
    )
    return tx.scalars(select(RouteRow.id).where(RouteRow.digest == digest)).one()


def begin(
    tx: Session, *, revision_id: int, bundle: ActiveBundle, route_id: int, settings: Mapping[str, Any], now: datetime
) -> int:
    """Return the id of the revision's active run of this bundle, begun now if there is none yet.

    A run begun before keeps the operating points that it was begun with.
    """
    tx.execute(
        insert(RunRow)
        .values(
            revision_id=revision_id,
            bundle_id=bundle.bundle_id,
            route_id=route_id,
            role=RunRole.ACTIVE,
            settings=dict(settings),
            operating_points=[asdict(point) for point in bundle.operating_points],
            started_at=now,
        )
        .on_conflict_do_nothing()
    )
    return tx.scalars(
        select(RunRow.id).where(
            RunRow.revision_id == revision_id, RunRow.bundle_id == bundle.bundle_id, RunRow.role == RunRole.ACTIVE
        )
    ).one()


def forget_unfinished(tx: Session, revision_id: int) -> None:
    """Delete the revision's runs that never finished: a retry may find another bundle or route in force."""
    for row in tx.scalars(select(RunRow).where(RunRow.revision_id == revision_id, RunRow.finished_at.is_(None))):
        tx.delete(row)
    tx.flush()


def known_outcomes(tx: Session, *, run_id: int, pixel_sha256: str) -> tuple[int, dict[int, tuple[Outcome, ...]]] | None:
    """Return what an earlier run of the same bundle in the same case said of the same pixels, and that run's id.

    Refusals are not taken over: what made the image unusable may have been in its header.
    """
    this = tx.get_one(RunRow, run_id)
    case_id = tx.get_one(Revision, this.revision_id).case_id
    rows = tx.execute(
        select(FindingRow, RunRow.id)
        .join(RunRow, RunRow.id == FindingRow.run_id)
        .join(Revision, Revision.id == RunRow.revision_id)
        .join(Instance, Instance.id == FindingRow.instance_id)
        .where(
            Revision.case_id == case_id,
            RunRow.bundle_id == this.bundle_id,
            RunRow.id != run_id,
            RunRow.finished_at.is_not(None),
            Instance.pixel_sha256 == pixel_sha256,
        )
        .order_by(RunRow.id.desc(), FindingRow.frame, FindingRow.id)
    ).all()
    if not rows:
        return None
    newest, one_image = rows[0][1], rows[0][0].instance_id  # the study may hold the same picture twice
    frames: dict[int, list[Outcome]] = {}
    for finding, found_in in rows:
        if found_in == newest and finding.instance_id == one_image:
            frames.setdefault(finding.frame, []).append(_outcome(finding))
    if any(isinstance(outcome, Refusal) for outcomes in frames.values() for outcome in outcomes):
        return None
    return newest, {frame: tuple(outcomes) for frame, outcomes in frames.items()}


def finish(
    tx: Session,
    *,
    run_id: int,
    findings: Iterable[tuple[int, int, Sequence[Outcome]]],
    lesion_rules: Sequence[LesionRule],
    reused_from: int | None,
    now: datetime,
) -> None:
    """Keep a run's findings, given as (instance id, frame, outcomes), and the rules by which its lesions are called.

    What an earlier try kept is replaced.
    """
    run = tx.get_one(RunRow, run_id)
    for old in tx.scalars(select(FindingRow).where(FindingRow.run_id == run_id)):
        tx.delete(old)
    tx.flush()
    alike: Counter[tuple[int, int, str, str]] = Counter()
    for instance_id, frame, outcomes in findings:
        for outcome in outcomes:
            row = _row(run_id, instance_id, frame, outcome)
            key = (instance_id, frame, row.kind, row.output)
            row.ordinal = alike[key]
            alike[key] += 1
            tx.add(row)
    run.lesion_rules = [asdict(rule) for rule in lesion_rules]
    run.finished_at = now
    run.reused_from = reused_from


def case_findings(tx: Session, revision_id: int) -> CaseFindings:
    """Return all that the revision's active runs say."""
    runs: list[Run] = []
    findings: list[FrameFinding] = []
    rows = tx.execute(
        select(RunRow, Bundle)
        .join(Bundle, Bundle.id == RunRow.bundle_id)
        .where(RunRow.revision_id == revision_id, RunRow.role == RunRole.ACTIVE, RunRow.finished_at.is_not(None))
        .order_by(Bundle.name)
    ).all()
    for run, bundle in rows:
        runs.append(
            Run(
                bundle=_identity(bundle),
                role=run.role,
                operating_points=tuple(OperatingPoint(**point) for point in run.operating_points),
                lesion_rules=tuple(
                    LesionRule(output=rule["output"], combine=Combine(rule["combine"])) for rule in run.lesion_rules
                ),
            )
        )
        frames: dict[tuple[str, int], tuple[StoredInstance, list[Outcome]]] = {}
        for row, instance in tx.execute(
            select(FindingRow, Instance)
            .join(Instance, Instance.id == FindingRow.instance_id)
            .where(FindingRow.run_id == run.id)
            .order_by(Instance.sop_instance_uid, FindingRow.frame, FindingRow.output, FindingRow.kind, FindingRow.ordinal)
        ):
            key = (instance.sop_instance_uid, row.frame)
            frames.setdefault(key, (cases.stored(instance), []))[1].append(_outcome(row))
        findings.extend(
            FrameFinding(bundle_hash=bundle.content_hash, image=image, frame=frame, outcomes=tuple(outcomes))
            for (_, frame), (image, outcomes) in frames.items()
        )
    return CaseFindings(runs=tuple(runs), findings=tuple(findings))


def readers(tx: Session, revision_id: int) -> Mapping[str, tuple[Path, str]]:
    """Return for each image that a run of the revision has read the folder and content hash of the run's bundle.

    By SOP Instance UID; where several bundles have read an image, the first by name.
    """
    rows = tx.execute(
        select(Instance.sop_instance_uid, Bundle.folder, Bundle.content_hash)
        .join(FindingRow, FindingRow.instance_id == Instance.id)
        .join(RunRow, RunRow.id == FindingRow.run_id)
        .join(Bundle, Bundle.id == RunRow.bundle_id)
        .where(RunRow.revision_id == revision_id, RunRow.role == RunRole.ACTIVE, RunRow.finished_at.is_not(None))
        .order_by(Bundle.name.desc())
    )
    return {row.sop_instance_uid: (Path(row.folder), row.content_hash) for row in rows}


def route_definitions(tx: Session, revision_id: int) -> tuple[Mapping[str, Any], ...]:
    """Return the routes by which the revision's runs were made."""
    rows = tx.scalars(
        select(RouteRow)
        .join(RunRow, RunRow.route_id == RouteRow.id)
        .where(RunRow.revision_id == revision_id, RunRow.finished_at.is_not(None))
        .distinct()
        .order_by(RouteRow.id)
    )
    return tuple(row.definition for row in rows)


def _identity(row: Bundle) -> BundleIdentity:
    return BundleIdentity(name=row.name, version=row.version, content_hash=row.content_hash, title=row.title, grade=row.grade)


def _row(run_id: int, instance_id: int, frame: int, outcome: Outcome) -> FindingRow:
    row = FindingRow(run_id=run_id, instance_id=instance_id, frame=frame)
    match outcome:
        case Classification():
            row.kind, row.output = "classification", outcome.output
            row.data = {"probabilities": [asdict(one) for one in outcome.probabilities]} | _kept_region(outcome.region)
            if outcome.saliency is not None:
                _keep_saliency(row, outcome.saliency)
        case Segmentation():
            rows, columns = outcome.mask.shape
            row.kind, row.output = "segmentation", outcome.output
            row.data = {
                "concept": outcome.concept,
                "threshold": outcome.threshold,
                "rows": rows,
                "columns": columns,
                "pixels": int(outcome.mask.sum()),
            }
            row.mask = zlib.compress(np.packbits(outcome.mask).tobytes())
        case Crops():
            row.kind, row.output = "crops", outcome.output
            row.data = {"rectangles": [asdict(one) for one in outcome.rectangles]}
        case Refusal():
            row.kind, row.output = "refusal", ""
            row.data = {"reason": outcome.reason, "detail": outcome.detail} | _kept_region(outcome.region)
    return row


def _kept_region(region: Rectangle | None) -> dict[str, Any]:
    return {} if region is None else {"region": asdict(region)}


def _region(row: FindingRow) -> Rectangle | None:
    return Rectangle(**row.data["region"]) if "region" in row.data else None


def _outcome(row: FindingRow) -> Outcome:
    if row.kind == "classification":
        return Classification(
            output=row.output,
            probabilities=tuple(ClassProbability(**one) for one in row.data["probabilities"]),
            saliency=_saliency(row),
            region=_region(row),
        )
    if row.kind == "segmentation" and row.mask is not None:
        return Segmentation(
            output=row.output,
            concept=row.data["concept"],
            threshold=row.data["threshold"],
            mask=_unpacked(row.mask, row.data["rows"], row.data["columns"]),
        )
    if row.kind == "crops":
        return Crops(output=row.output, rectangles=tuple(Rectangle(**one) for one in row.data["rectangles"]))
    if row.kind == "refusal":
        return Refusal(reason=row.data["reason"], detail=row.data["detail"], region=_region(row))
    raise ValueError(f"finding {row.id} is of the unknown kind {row.kind!r}")


def _keep_saliency(row: FindingRow, saliency: Saliency) -> None:
    rows, columns = saliency.grid.shape
    row.data |= {"saliency": {"method": saliency.method, "class_id": saliency.class_id, "rows": rows, "columns": columns}}
    row.saliency = zlib.compress(np.ascontiguousarray(saliency.grid, dtype=np.uint8).tobytes())


def _saliency(row: FindingRow) -> Saliency | None:
    if row.saliency is None:
        return None
    said = row.data["saliency"]
    grid = np.frombuffer(zlib.decompress(row.saliency), dtype=np.uint8).reshape(said["rows"], said["columns"])
    return Saliency(method=said["method"], class_id=said["class_id"], grid=grid)


def _unpacked(packed: bytes, rows: int, columns: int) -> Mask:
    bits = np.frombuffer(zlib.decompress(packed), dtype=np.uint8)
    return np.unpackbits(bits, count=rows * columns).reshape(rows, columns).astype(bool)

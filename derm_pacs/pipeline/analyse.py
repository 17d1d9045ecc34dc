"""Analyse: the bundles of the routes read the images of a complete study."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from sqlalchemy.orm import Session

from derm_pacs.bundles.routes import faults
from derm_pacs.domain.case import State, Step
from derm_pacs.domain.findings import LesionRule, Outcome, Refusal
from derm_pacs.domain.reasons import (
    NO_ACTIVE_BUNDLE,
    NO_ROUTE,
    NOTHING_TO_ANALYSE,
    REASONS,
    TWO_CONTENTS,
    TWO_PATIENTS,
    UNREADABLE,
    Reason,
)
from derm_pacs.domain.routing import ImageFacts, Route, route
from derm_pacs.domain.study import StoredInstance
from derm_pacs.ledger import cases, runs
from derm_pacs.ledger.tables import Revision
from derm_pacs.pipeline import chain, queue, trying
from derm_pacs.pipeline.close import earlier_are_composed
from derm_pacs.pipeline.queue import Task
from derm_pacs.pipeline.site import Site
from derm_pacs.pipeline.stage import Stage
from derm_pacs.spool import read

_WAIT_FOR_EARLIER = timedelta(seconds=2)

Frames = Mapping[int, tuple[Outcome, ...]]
"""Outcomes of an image by its frame (1-based)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToRead:
    """One image for one run, with what is known of its pixels already."""

    instance_id: int
    image: StoredInstance
    known: Frames | None
    crops_of: int | None = None
    """The run whose crops of the image are read; None where the whole image is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRun:
    """One bundle and the images that it reads."""

    run_id: int
    name: str
    folder: Path
    content_hash: str
    images: tuple[ToRead, ...]
    reused_from: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What is to be analysed."""

    revision_id: int
    runs: tuple[PlannedRun, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What each run says, and by which rules its lesions are called; both by the run's id."""

    findings: Mapping[int, tuple[tuple[int, int, tuple[Outcome, ...]], ...]]
    """(instance id, frame, outcomes)."""
    lesion_rules: Mapping[int, tuple[LesionRule, ...]]
    taken_over: frozenset[int]
    """The runs that took over what an earlier one had said."""


def claim(tx: Session, revision_id: int, site: Site) -> Given | None:
    """Take a queued revision on, refuse or hold what must not be analysed, and plan its runs."""
    revision = trying.locked(tx, revision_id)
    if revision.state is State.QUEUED:
        if not earlier_are_composed(tx, revision.case_id, revision.number):
            queue.defer(tx, Task.ANALYSE, revision_id, at=site.now() + _WAIT_FOR_EARLIER)
            return None
        if _held(tx, revision, site):
            return None
        runs.forget_unfinished(tx, revision_id)
        cases.take(tx, revision_id, Step.BEGIN_ANALYSIS, actor=trying.ACTOR, now=site.now())
    if revision.state is not State.ANALYSING or not trying.begin_try(tx, revision, site):
        return None
    images = runs.images(tx, revision_id)
    routes = site.settings.routing()
    by_route: dict[str, tuple[Route, list[runs.RevisionImage]]] = {}
    for image in images:
        taken = route(ImageFacts(sop_class_uid=image.stored.sop_class_uid, modality=image.modality), routes)
        if taken is not None:
            by_route.setdefault(taken.name, (taken, []))[1].append(image)
    if not by_route:
        _reject(tx, revision_id, _why_nothing(tx, revision_id, images), site)
        return None
    return _plan(tx, revision_id, list(by_route.values()), site)


def _held(tx: Session, revision: Revision, site: Site) -> bool:
    """Hold a revision whose answer could reach the wrong patient or the wrong pixels."""
    reason: Reason | None = None
    if len(cases.patients_of(tx, revision.id)) > 1:
        reason = TWO_PATIENTS
    elif cases.conflicting_contents(tx, revision.id):
        reason = TWO_CONTENTS
    if reason is not None:
        cases.take(tx, revision.id, Step.HOLD, actor=trying.ACTOR, reason=reason, now=site.now())
    return reason is not None


def _why_nothing(tx: Session, revision_id: int, images: Sequence[runs.RevisionImage]) -> tuple[Reason, str]:
    if not images:
        broken = cases.unreadable(tx, revision_id)
        return (UNREADABLE, f"{len(broken)} objects") if broken else (NOTHING_TO_ANALYSE, "")
    kinds = sorted({f"SOP class {image.stored.sop_class_uid}, modality {image.modality or 'absent'}" for image in images})
    return NO_ROUTE, "; ".join(kinds)


def _reject(tx: Session, revision_id: int, why: tuple[Reason, str], site: Site) -> None:
    reason, detail = why
    cases.take(tx, revision_id, Step.REJECT, actor=trying.ACTOR, reason=reason, detail=detail, now=site.now())


def _plan(
    tx: Session, revision_id: int, routed: Sequence[tuple[Route, Sequence[runs.RevisionImage]]], site: Site
) -> Given | None:
    planned: dict[str, tuple[runs.ActiveBundle, int, list[tuple[runs.RevisionImage, Route]]]] = {}
    for taken, images in routed:
        route_id = runs.remember_route(tx, taken, site.now())
        active = {name: found for name in taken.bundles if (found := runs.active_bundle(tx, name)) is not None}
        missing = next((name for name in taken.bundles if name not in active), None)
        if missing is not None:
            _hold(tx, revision_id, (NO_ACTIVE_BUNDLE, f"route {taken.name}, bundle {missing}"), site)
            return None
        in_force = {name: (one.identity, Path(one.folder)) for name, one in active.items()}
        fault = next(faults(taken, in_force), None)
        if fault is not None:
            _hold(tx, revision_id, fault, site)
            return None
        for name in taken.bundles:
            planned.setdefault(name, (active[name], route_id, []))[2].extend((image, taken) for image in images)
    settings = site.settings.analysis.model_dump(mode="json")
    begun = {
        name: runs.begin(tx, revision_id=revision_id, bundle=bundle, route_id=route_id, settings=settings, now=site.now())
        for name, (bundle, route_id, _) in planned.items()
    }
    return Given(
        revision_id=revision_id,
        runs=tuple(_planned_run(tx, begun, bundle, images) for bundle, _, images in planned.values()),
    )


def _hold(tx: Session, revision_id: int, why: tuple[Reason, str], site: Site) -> None:
    reason, detail = why
    cases.take(tx, revision_id, Step.HOLD, actor=trying.ACTOR, reason=reason, detail=detail, now=site.now())


def _planned_run(
    tx: Session, begun: Mapping[str, int], bundle: runs.ActiveBundle, images: Sequence[tuple[runs.RevisionImage, Route]]
) -> PlannedRun:
    """Plan a run; pixels that an earlier revision's run of the same bundle has read are not read again."""
    run_id = begun[bundle.identity.name]
    to_read: list[ToRead] = []
    reused_from: int | None = None
    for image, taken in images:
        pixels = image.stored.pixel_sha256
        known = runs.known_outcomes(tx, run_id=run_id, pixel_sha256=pixels) if pixels is not None else None
        if known is not None:
            reused_from = known[0]
        finder = taken.reads_crops_of.get(bundle.identity.name)
        to_read.append(
            ToRead(
                instance_id=image.instance_id,
                image=image.stored,
                known=known[1] if known is not None else None,
                crops_of=begun[finder] if finder is not None else None,
            )
        )
    return PlannedRun(
        run_id=run_id,
        name=bundle.identity.name,
        folder=Path(bundle.folder),
        content_hash=bundle.identity.content_hash,
        images=tuple(to_read),
        reused_from=reused_from,
    )


def work(given: Given, site: Site) -> Made:
    """Let the runners read the images, one after another: whole images first, then the crops that were found in them."""
    said: dict[tuple[int, int], Frames] = {}
    taken_over: set[int] = set()
    names = {one.run_id: one.name for one in given.runs}
    for planned, one in _in_order(given):
        crops: chain.Asked | None = None
        refused: Frames = {}
        if one.crops_of is not None:
            crops, refused = chain.asked(said[one.crops_of, one.instance_id], names[one.crops_of])
        if one.known is not None and chain.still_holds(
            one.known, crops, finds_crops=site.runners.finds_crops(planned.folder, planned.content_hash)
        ):
            taken_over.add(planned.run_id)
            read_now: Frames = one.known
        elif crops is not None and not crops:
            read_now = {}
        else:
            part10 = read.payload(site.settings.spool_dir, one.image.place)
            read_now = dict(chain.merged(site.runners.analyse(planned.folder, planned.content_hash, part10, crops)))
        said[planned.run_id, one.instance_id] = {**read_now, **refused}
    findings = {
        planned.run_id: tuple(
            (one.instance_id, frame, outcomes)
            for one in planned.images
            for frame, outcomes in sorted(said[planned.run_id, one.instance_id].items())
        )
        for planned in given.runs
    }
    rules = {one.run_id: site.runners.lesion_rules(one.folder, one.content_hash) for one in given.runs}
    return Made(findings=findings, lesion_rules=rules, taken_over=frozenset(taken_over))


def _in_order(given: Given) -> Iterator[tuple[PlannedRun, ToRead]]:
    """Yield what is to be read: all whole images, then all crops, which are found in these."""
    for reads_crops in (False, True):
        for planned in given.runs:
            yield from ((planned, one) for one in planned.images if (one.crops_of is not None) == reads_crops)


def settle(tx: Session, given: Given, made: Made, site: Site) -> None:
    """Keep the findings and go on to composing; where nobody wants to hear of a refusal, the case ends here."""
    revision = trying.locked(tx, given.revision_id)
    for planned in given.runs:
        runs.finish(
            tx,
            run_id=planned.run_id,
            findings=made.findings[planned.run_id],
            lesion_rules=made.lesion_rules[planned.run_id],
            reused_from=planned.reused_from if planned.run_id in made.taken_over else None,
            now=site.now(),
        )
    trying.end_tries(revision)
    outcomes = [outcome for found in made.findings.values() for _, _, several in found for outcome in several]
    refusals = [outcome for outcome in outcomes if isinstance(outcome, Refusal)]
    tx.flush()
    if len(refusals) == len(outcomes) and not answering_destinations(tx, given.revision_id, site):
        _reject(tx, given.revision_id, first_reason(refusals), site)
        return
    broken = cases.unreadable(tx, given.revision_id)
    detail = f"{len(broken)} objects of the study cannot be read" if broken else ""
    cases.take(tx, given.revision_id, Step.FINISH_ANALYSIS, actor=trying.ACTOR, detail=detail, now=site.now())
    queue.defer(tx, Task.COMPOSE, given.revision_id)


def destinations(tx: Session, revision_id: int) -> tuple[str, ...]:
    """Return the destinations of the routes by which the revision was analysed, in the order of the routes."""
    named = [name for definition in runs.route_definitions(tx, revision_id) for name in definition["destinations"]]
    return tuple(dict.fromkeys(named))


def answering_destinations(tx: Session, revision_id: int, site: Site) -> tuple[str, ...]:
    """Return the destinations that want a report of a study that was not analysed."""
    return tuple(
        name for name in destinations(tx, revision_id) if site.settings.destination(name).answer_refusals
    )


def first_reason(refusals: Sequence[Refusal]) -> tuple[Reason, str]:
    """Return the reason of a case of which nothing was analysed: that of the first refusal."""
    if not refusals:
        return NOTHING_TO_ANALYSE, ""
    return REASONS[refusals[0].reason], refusals[0].detail


STAGE = Stage(task=Task.ANALYSE, claim=claim, work=work, settle=settle, fail=trying.fail(Task.ANALYSE))

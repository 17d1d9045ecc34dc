"""Deliver: a revision's objects go to one destination."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy.orm import Session

from derm_pacs.delivery.interface import Destination
from derm_pacs.delivery.store import send
from derm_pacs.domain.case import State
from derm_pacs.domain.composed import Composed
from derm_pacs.domain.delivery import DeliveryState
from derm_pacs.domain.errors import Defect, WalkError
from derm_pacs.domain.reasons import NO_COMMITMENT, RESULT_INVALID
from derm_pacs.ledger import deliveries, results
from derm_pacs.ledger.results import StoredResult
from derm_pacs.ledger.tables import DeliveryRow, Revision
from derm_pacs.pipeline import queue
from derm_pacs.pipeline.compose import result_path
from derm_pacs.pipeline.conclude import conclude
from derm_pacs.pipeline.queue import Task
from derm_pacs.pipeline.retry import Again, GiveUp, Tries, decide
from derm_pacs.pipeline.site import Site
from derm_pacs.pipeline.stage import Failure, Stage
from derm_pacs.settings.model import ProofBy


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What goes where."""

    delivery_id: int
    destination: Destination
    results: tuple[StoredResult, ...]
    """Those that the destination has not acknowledged yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What the destination acknowledged, and what stopped the rest."""

    statuses: Mapping[int, int]
    """DIMSE status by result id."""
    stopped_by: WalkError | None


def taken_on(tx: Session, delivery_id: int, waiting: DeliveryState, site: Site) -> DeliveryRow | None:
    """Return the locked row of a delivery that is in `waiting` and whose revision still wants it; counts the try."""
    row = deliveries.locked(tx, delivery_id)
    if row is None or row.state is not waiting or tx.get_one(Revision, row.revision_id).state is not State.DELIVERING:
        return None
    row.attempts += 1
    row.first_attempt_at = row.first_attempt_at or site.now()
    row.deadline = row.first_attempt_at + site.deadline
    return row


def claim(tx: Session, delivery_id: int, site: Site) -> Given | None:
    """Take on a delivery that is pending."""
    row = taken_on(tx, delivery_id, DeliveryState.PENDING, site)
    if row is None:
        return None
    done = deliveries.delivered(tx, delivery_id)
    return Given(
        delivery_id=delivery_id,
        destination=site.destination(row.destination),
        results=tuple(one for one in results.of_revision(tx, row.revision_id) if one.result_id not in done),
    )


def work(given: Given, site: Site) -> Made:
    """Send what is left; what stops it is part of what was made, so that the acknowledged objects are noted."""
    ids = {one.sop_instance_uid: one.result_id for one in given.results}
    statuses: dict[int, int] = {}
    stopped_by: WalkError | None = None
    if given.results:
        try:
            send(
                given.destination,
                tuple(_composed(one, site) for one in given.results),
                lambda uid, status: statuses.__setitem__(ids[uid], status),
            )
        except WalkError as error:
            stopped_by = error
    return Made(statuses=statuses, stopped_by=stopped_by)


def _composed(one: StoredResult, site: Site) -> Composed:
    path = result_path(site.settings.results_dir, one.sha256)
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise Defect(RESULT_INVALID, f"{path.name} is missing from the results folder") from error
    return Composed(
        form=one.form,
        sop_class_uid=one.sop_class_uid,
        sop_instance_uid=one.sop_instance_uid,
        series_instance_uid=one.series_instance_uid,
        transfer_syntax_uid=one.transfer_syntax_uid,
        sha256=one.sha256,
        about=one.about,
        data=data,
    )


def settle(tx: Session, given: Given, made: Made, site: Site) -> None:
    """Note what was acknowledged; all of it: ask for the proof, where there is one to be had."""
    now = site.now()
    row = deliveries.locked(tx, given.delivery_id)
    if row is None or row.state is not DeliveryState.PENDING:
        return
    deliveries.note_delivered(tx, given.delivery_id, made.statuses, now)
    if made.stopped_by is not None:
        fail(tx, given.delivery_id, Failure(error=made.stopped_by, trace="", counted=True), site)
        return
    if site.settings.destination(row.destination).proof is not ProofBy.NONE:
        deliveries.move(row, DeliveryState.SENT, now=now)
        queue.defer(tx, Task.CONFIRM, given.delivery_id)
    else:
        deliveries.move(row, DeliveryState.UNPROVABLE, now=now, reason=NO_COMMITMENT)
        tx.flush()
        conclude(tx, row.revision_id, site)


def fail(tx: Session, delivery_id: int, failure: Failure, site: Site) -> None:
    """Come again by the rule of `retry.decide`, or give the delivery up, which holds the case."""
    now = site.now()
    row = deliveries.locked(tx, delivery_id)
    if row is None or row.state not in (DeliveryState.PENDING, DeliveryState.SENT):
        return
    row.attempts += not failure.counted
    row.first_attempt_at = row.first_attempt_at or now
    tries = Tries(count=row.attempts, first_failed_at=row.first_attempt_at)
    row.reason_code, row.reason_detail = failure.error.reason.code, failure.trace or failure.error.detail
    match decide(failure.error, tries, deadline=site.deadline, now=now):
        case Again(at=at):
            row.next_attempt_at = at
            queue.defer(tx, Task.DELIVER if row.state is DeliveryState.PENDING else Task.CONFIRM, delivery_id, at=at)
        case GiveUp(reason=reason, detail=detail):
            deliveries.move(row, DeliveryState.REFUSED, now=now, reason=reason, detail=detail)
            tx.flush()
            conclude(tx, row.revision_id, site)


STAGE = Stage(task=Task.DELIVER, claim=claim, work=work, settle=settle, fail=fail)

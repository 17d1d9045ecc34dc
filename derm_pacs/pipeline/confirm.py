"""Confirm: the destination is asked to commit to the objects, or whether it has them, and what it says decides.

Storage commitment (PS3.4 annex J) proves most and goes first. A destination that offers none, or never reports, is
asked by C-FIND what it has; one that is spoken to by DICOMweb, by QIDO-RS. That it lists every object is the proof;
where it lists too few it is asked again for as long as a report would be waited for.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from derm_pacs.delivery import query, web_query
from derm_pacs.delivery.commitment import ask
from derm_pacs.delivery.interface import Destination, Target, WebDestination
from derm_pacs.domain import commitment
from derm_pacs.domain.commitment import Asked, Confirmed, Failed, Overdue, Reported, Waiting
from derm_pacs.domain.delivery import DeliveryState, Proof
from derm_pacs.domain.errors import Defect, Rejected
from derm_pacs.domain.reasons import (
    COMMITMENT_OVERDUE,
    DEFECT,
    NO_COMMITMENT,
    NO_QUERY,
    NOT_COMMITTED,
    NOT_LISTED,
    Reason,
)
from derm_pacs.ledger import deliveries, results
from derm_pacs.ledger.result_tables import DeliveryRow
from derm_pacs.ledger.results import StoredResult
from derm_pacs.ledger.tables import Case, Revision
from derm_pacs.pipeline import queue
from derm_pacs.pipeline.conclude import conclude
from derm_pacs.pipeline.queue import Task
from derm_pacs.pipeline.retry import wait_before
from derm_pacs.pipeline.site import Site
from derm_pacs.pipeline.stage import Stage
from derm_pacs.pipeline.trying_delivery import fail, taken_on
from derm_pacs.settings.model import ProofBy

REQUESTS = 3
"""How often a destination that does not report is asked to commit before it is asked what it has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """A proof to be asked for."""

    delivery_id: int
    target: Target
    transaction_uid: str | None
    """Of the commitment to ask for; None where only a query is left."""
    study_uid: str
    objects: tuple[StoredResult, ...]
    """What the destination has acknowledged."""
    without_proof: Reason
    """Why nothing is proven, where the destination answers no query either."""
    until: datetime
    """When it is not asked any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What the destination said."""

    offered: bool
    """Whether it took a request for commitment."""
    reported: Reported | None
    """The report, where it came on the same association."""
    present: frozenset[str] | None
    """Which of the objects it lists; None where it was not asked, or cannot be."""


def claim(tx: Session, delivery_id: int, site: Site) -> Given | None:
    """End by what is reported; else ask.

    A job comes for the first request, with a report, after a deadline, to ask again, or after a try that did not settle.
    """
    now = site.now()
    row = taken_on(tx, delivery_id, DeliveryState.SENT, site)
    if row is None or _decided(tx, row, site):
        return None
    objects = results.acknowledged(tx, delivery_id)
    if not objects:
        raise Defect(DEFECT, f"delivery {delivery_id} is to be proven and nothing of it was acknowledged")
    begun = row.first_attempt_at or now
    patience = timedelta(minutes=site.settings.delivery.commitment_minutes)
    target = site.target(row.destination)
    by_query = not isinstance(target, Destination) or site.settings.destination(row.destination).proof is ProofBy.QUERY
    asked = deliveries.commitments(tx, delivery_id)
    used_up = len(asked) >= REQUESTS and asked[0].deadline <= now
    revision = tx.get_one(Revision, row.revision_id)
    return Given(
        delivery_id=delivery_id,
        target=target,
        transaction_uid=None
        if by_query or used_up
        else deliveries.begin_commitment(tx, delivery_id, now=now, deadline=now + patience / REQUESTS),
        study_uid=tx.get_one(Case, revision.case_id).study_instance_uid,
        objects=objects,
        without_proof=NO_QUERY if by_query else COMMITMENT_OVERDUE if used_up else NO_COMMITMENT,
        until=begun + patience,
    )


def _decided(tx: Session, row: DeliveryRow, site: Site) -> bool:
    """End the delivery by the newest transaction that is reported on, if there is one."""
    instances = frozenset(one.sop_instance_uid for one in results.acknowledged(tx, row.id))
    for transaction in deliveries.commitments(tx, row.id):
        asked = Asked(transaction_uid=transaction.transaction_uid, instances=instances, deadline=transaction.deadline)
        match commitment.settle(asked, deliveries.reported(transaction), site.now()):
            case Confirmed():
                _end(tx, row, DeliveryState.PROVEN, site, proof=Proof.COMMITMENT)
                return True
            case Failed(instances=failed):
                detail = f"{len(failed)} objects not kept"
                _end(tx, row, DeliveryState.REFUSED, site, reason=NOT_COMMITTED, detail=detail)
                return True
            case Waiting() | Overdue():
                continue
    return False


def _end(
    tx: Session, row: DeliveryRow, state: DeliveryState, site: Site, *, reason: Reason | None = None, detail: str = "",
    proof: Proof | None = None,
) -> None:
    deliveries.move(row, state, now=site.now(), reason=reason, detail=detail, proof=proof)
    tx.flush()
    conclude(tx, row.revision_id, site)


def work(given: Given, site: Site) -> Made:
    """Ask; a report usually comes later, on an association that the destination opens to our listener."""
    del site
    if given.transaction_uid is not None and isinstance(given.target, Destination):
        references = tuple((one.sop_class_uid, one.sop_instance_uid) for one in given.objects)
        try:
            return Made(offered=True, reported=ask(given.target, given.transaction_uid, references), present=None)
        except Rejected as error:
            if error.reason is not NO_COMMITMENT:
                raise
    return Made(offered=False, reported=None, present=_present(given))


def _present(given: Given) -> frozenset[str] | None:
    try:
        match given.target:
            case Destination():
                return query.present(given.target, given.study_uid, given.objects)
            case WebDestination():
                return web_query.present(given.target, given.study_uid, given.objects)
            case _:
                return None
    except Rejected as error:
        if error.reason is NO_QUERY:
            return None
        raise


def settle(tx: Session, given: Given, made: Made, site: Site) -> None:
    """Keep a report that came at once; otherwise filing brings the job again when the report is there, or the clock."""
    row = deliveries.locked(tx, given.delivery_id)
    if row is None or row.state is not DeliveryState.SENT:
        return
    if made.offered:
        if made.reported is not None:
            deliveries.keep_report(tx, made.reported, site.now())
            _decided(tx, row, site)
    elif made.present is None:
        _end(tx, row, DeliveryState.UNPROVABLE, site, reason=given.without_proof)
    else:
        _settle_query(tx, row, given, made.present, site)


def _settle_query(tx: Session, row: DeliveryRow, given: Given, present: frozenset[str], site: Site) -> None:
    missing = [one for one in given.objects if one.sop_instance_uid not in present]
    again = site.now() + wait_before(row.attempts)
    if not missing:
        _end(tx, row, DeliveryState.PROVEN, site, proof=Proof.QUERY)
    elif again > given.until:
        detail = ", ".join(f"{one.form} {one.sop_instance_uid}" for one in missing)
        # As with a failed commitment: the case is held, so that a person can have everything sent again.
        _end(tx, row, DeliveryState.REFUSED, site, reason=NOT_LISTED, detail=detail)
    else:
        row.next_attempt_at = again
        queue.defer(tx, Task.CONFIRM, row.id, at=again)


STAGE = Stage(task=Task.CONFIRM, claim=claim, work=work, settle=settle, fail=fail)

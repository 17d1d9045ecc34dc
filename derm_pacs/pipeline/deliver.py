"""Deliver: a revision's objects go to one destination, in the edition that it takes."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sqlalchemy.orm import Session

from derm_pacs.delivery import mllp, store, stow
from derm_pacs.delivery.interface import Destination, RecordDestination, Target, WebDestination
from derm_pacs.delivery.negotiate import accepted
from derm_pacs.domain.composed import Composed
from derm_pacs.domain.delivery import DeliveryState, Proof
from derm_pacs.domain.edition import Agreed, Edition, agree, candidates
from derm_pacs.domain.errors import Defect, Rejected, WalkError
from derm_pacs.domain.reasons import NO_CONTEXT, PROOF_NOT_ASKED, RESULT_INVALID
from derm_pacs.ledger import deliveries, results
from derm_pacs.ledger.result_tables import DeliveryRow
from derm_pacs.ledger.results import StoredResult
from derm_pacs.pipeline import queue
from derm_pacs.pipeline.conclude import conclude
from derm_pacs.pipeline.editions import result_path
from derm_pacs.pipeline.queue import Task
from derm_pacs.pipeline.site import Site
from derm_pacs.pipeline.stage import Failure, Stage
from derm_pacs.pipeline.trying_delivery import fail, taken_on
from derm_pacs.settings.model import ProofBy


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What goes where."""

    delivery_id: int
    target: Target
    wanted: Edition
    """What the settings name, before the destination is asked."""
    begun_with: Edition | None
    """The edition of which the destination has acknowledged something already; it is not changed any more."""
    composed: Mapping[Edition, tuple[StoredResult, ...]]
    """The editions that are made."""
    done: frozenset[int]
    """Ids of the results that the destination has acknowledged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What the destination takes, what it acknowledged, and what stopped the rest."""

    agreed: Agreed | None
    """None where that stayed unknown."""
    statuses: Mapping[int, int]
    """DIMSE or HTTP status by result id."""
    stopped_by: WalkError | None


def claim(tx: Session, delivery_id: int, site: Site) -> Given | None:
    """Take on a delivery that is pending."""
    row = taken_on(tx, delivery_id, DeliveryState.PENDING, site)
    if row is None:
        return None
    done = deliveries.delivered(tx, delivery_id)
    return Given(
        delivery_id=delivery_id,
        target=site.target(row.destination),
        wanted=site.settings.destination(row.destination).edition(),
        begun_with=Edition.parse(row.edition) if done and row.edition is not None else None,
        composed=results.editions(tx, row.revision_id),
        done=done,
    )


def work(given: Given, site: Site) -> Made:
    """Ask what the destination takes and send what is left of it.

    What stops it is part of what was made, so that the acknowledged objects are noted.
    """
    agreed: Agreed | None = None
    statuses: dict[int, int] = {}
    try:
        agreed = _agreed(given.target, given.wanted)
        edition = given.begun_with or agreed.edition
        if edition is None:
            forms = ", ".join(sorted(given.wanted.forms))
            raise Rejected(NO_CONTEXT, f"{given.target.name}: takes nothing that says the whole result; wanted: {forms}")
        left = [one for one in given.composed.get(edition, ()) if one.result_id not in given.done]
        ids = {one.sop_instance_uid: one.result_id for one in left}
        if left:
            objects = tuple(_composed(one, site) for one in left)
            _send(given.target, objects, lambda uid, status: statuses.__setitem__(ids[uid], status))
    except WalkError as error:
        return Made(agreed=agreed, statuses=statuses, stopped_by=error)
    return Made(agreed=agreed, statuses=statuses, stopped_by=None)


def _agreed(target: Target, wanted: Edition) -> Agreed:
    """Ask a DICOM destination what it takes; the others have no way to be asked."""
    if not isinstance(target, Destination):
        return Agreed(edition=wanted, left_out=())
    try:
        return agree(wanted, accepted(target, candidates(wanted)))
    except Rejected as error:
        if error.reason is NO_CONTEXT:
            return agree(wanted, {})
        raise


def _send(target: Target, objects: tuple[Composed, ...], on_stored: Callable[[str, int], None]) -> None:
    match target:
        case Destination():
            store.send(target, objects, on_stored)
        case WebDestination():
            stow.send(target, objects, on_stored)
        case RecordDestination():
            mllp.send(target, objects, on_stored)


def _composed(one: StoredResult, site: Site) -> Composed:
    path = result_path(site.settings.results_dir, one.sha256)
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise Defect(RESULT_INVALID, f"{path.name} is missing from the results folder") from error
    if hashlib.sha256(data).hexdigest() != one.sha256:
        raise Defect(RESULT_INVALID, f"the bytes of {path.name} in the results folder are not those that were checked")
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
    """Note what was agreed and acknowledged; all of it: ask for the proof, where there is one to be had."""
    now = site.now()
    row = deliveries.locked(tx, given.delivery_id)
    if row is None or row.state is not DeliveryState.PENDING:
        return
    if made.agreed is not None and made.agreed.edition is not None and given.begun_with is None:
        deliveries.note_agreement(tx, row, given.wanted, made.agreed, now)
    deliveries.note_delivered(tx, given.delivery_id, made.statuses, now)
    if made.stopped_by is not None:
        fail(tx, given.delivery_id, Failure(error=made.stopped_by, trace="", counted=True), site)
    elif row.edition is None or Edition.parse(row.edition) not in given.composed:
        queue.defer(tx, Task.COMPOSE_EDITION, given.delivery_id)
    else:
        _prove(tx, row, given.target, site)


def _prove(tx: Session, row: DeliveryRow, target: Target, site: Site) -> None:
    """All is sent: a record system has said that it has it, another destination is asked, if the settings say so."""
    now = site.now()
    if isinstance(target, RecordDestination):
        deliveries.move(row, DeliveryState.PROVEN, now=now, proof=Proof.ACKNOWLEDGED)
    elif site.settings.destination(row.destination).proof is ProofBy.NONE:
        deliveries.move(row, DeliveryState.UNPROVABLE, now=now, reason=PROOF_NOT_ASKED)
    else:
        deliveries.move(row, DeliveryState.SENT, now=now)
        queue.defer(tx, Task.CONFIRM, row.id)
        return
    tx.flush()
    conclude(tx, row.revision_id, site)


STAGE = Stage(task=Task.DELIVER, claim=claim, work=work, settle=settle, fail=fail)

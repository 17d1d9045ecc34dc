"""Confirm: the destination is asked to commit to the objects, and its report decides (PS3.4 annex J)."""

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy.orm import Session

from derm_pacs.delivery.commitment import ask
from derm_pacs.delivery.interface import Destination
from derm_pacs.domain import commitment
from derm_pacs.domain.commitment import Asked, Confirmed, Failed, Overdue, Reported, Waiting
from derm_pacs.domain.delivery import DeliveryState
from derm_pacs.domain.errors import Rejected
from derm_pacs.domain.reasons import COMMITMENT_OVERDUE, NO_COMMITMENT, NOT_COMMITTED
from derm_pacs.ledger import deliveries, results
from derm_pacs.ledger.tables import DeliveryRow
from derm_pacs.pipeline.conclude import conclude
from derm_pacs.pipeline.deliver import fail, taken_on
from derm_pacs.pipeline.queue import Task
from derm_pacs.pipeline.site import Site
from derm_pacs.pipeline.stage import Stage

REQUESTS = 3
"""How often a destination that does not report is asked before the delivery counts as unprovable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """A commitment to be asked for."""

    delivery_id: int
    destination: Destination
    transaction_uid: str
    references: tuple[tuple[str, str], ...]
    """(SOP Class UID, SOP Instance UID) of every object of the delivery."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """How the destination took the request."""

    offered: bool
    """Whether it has storage commitment at all."""
    reported: Reported | None
    """The report, where it came on the same association."""


def claim(tx: Session, delivery_id: int, site: Site) -> Given | None:
    """End by what is reported, or after the last deadline; else ask.

    A job comes for the first request, with a report, after a deadline, or after a try that did not settle.
    """
    now = site.now()
    row = taken_on(tx, delivery_id, DeliveryState.SENT, site)
    if row is None:
        return None
    if _decided(tx, row, site):
        return None
    asked = deliveries.commitments(tx, delivery_id)
    if len(asked) >= REQUESTS and asked[0].deadline <= now:
        deliveries.move(row, DeliveryState.UNPROVABLE, now=now, reason=COMMITMENT_OVERDUE)
        tx.flush()
        conclude(tx, row.revision_id, site)
        return None
    share = timedelta(minutes=site.settings.delivery.commitment_minutes) / REQUESTS
    return Given(
        delivery_id=delivery_id,
        destination=site.destination(row.destination),
        transaction_uid=deliveries.begin_commitment(tx, delivery_id, now=now, deadline=now + share),
        references=_references(tx, row),
    )


def _references(tx: Session, row: DeliveryRow) -> tuple[tuple[str, str], ...]:
    return tuple((one.sop_class_uid, one.sop_instance_uid) for one in results.of_revision(tx, row.revision_id))


def _decided(tx: Session, row: DeliveryRow, site: Site) -> bool:
    """End the delivery by the newest transaction that is reported on, if there is one."""
    instances = frozenset(uid for _, uid in _references(tx, row))
    for transaction in deliveries.commitments(tx, row.id):
        asked = Asked(transaction_uid=transaction.transaction_uid, instances=instances, deadline=transaction.deadline)
        match commitment.settle(asked, deliveries.reported(transaction), site.now()):
            case Confirmed() | Failed() as said:
                _end(tx, row, said, site)
                return True
            case Waiting() | Overdue():
                continue
    return False


def _end(tx: Session, row: DeliveryRow, said: Confirmed | Failed, site: Site) -> None:
    match said:
        case Confirmed():
            deliveries.move(row, DeliveryState.PROVEN, now=site.now())
        case Failed(instances=instances):
            deliveries.move(
                row, DeliveryState.REFUSED, now=site.now(), reason=NOT_COMMITTED, detail=f"{len(instances)} objects not kept"
            )
    tx.flush()
    conclude(tx, row.revision_id, site)


def work(given: Given, site: Site) -> Made:
    """Ask; the report usually comes later, on an association that the destination opens to our listener."""
    del site
    try:
        return Made(offered=True, reported=ask(given.destination, given.transaction_uid, given.references))
    except Rejected as error:
        if error.reason is NO_COMMITMENT:
            return Made(offered=False, reported=None)
        raise


def settle(tx: Session, given: Given, made: Made, site: Site) -> None:
    """Keep a report that came at once; otherwise filing brings the job again when the report is there, or the clock."""
    row = deliveries.locked(tx, given.delivery_id)
    if row is None or row.state is not DeliveryState.SENT:
        return
    if not made.offered:
        deliveries.move(row, DeliveryState.UNPROVABLE, now=site.now(), reason=NO_COMMITMENT)
        tx.flush()
        conclude(tx, row.revision_id, site)
    elif made.reported is not None:
        deliveries.keep_report(tx, made.reported, site.now())
        tx.flush()
        _decided(tx, row, site)


STAGE = Stage(task=Task.CONFIRM, claim=claim, work=work, settle=settle, fail=fail)

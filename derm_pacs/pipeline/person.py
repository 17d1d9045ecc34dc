"""What a person does to a case: retry and cancel, each with actor and reason in the audit trail."""

from datetime import datetime

from sqlalchemy.orm import Session

from derm_pacs.domain.case import TRANSITIONS, ForbiddenStep, State, Step, retry_step
from derm_pacs.domain.delivery import DeliveryState
from derm_pacs.ledger import audit, cases, deliveries
from derm_pacs.ledger.database import Database
from derm_pacs.ledger.tables import Revision
from derm_pacs.pipeline import queue, trying
from derm_pacs.pipeline.queue import Task


def retry(database: Database, case_id: int, *, actor: str, reason: str, now: datetime) -> State:
    """Take a held case on from where it was held; returns the state of its newest revision.

    Every revision of it that is held goes on, in order, so that a later one finds its predecessor's results.
    Raises `LookupError` where there is no such case, `ForbiddenStep` where none of its revisions is held.
    """

    def work(tx: Session) -> State:
        revisions = _revisions(tx, case_id)
        held = [one for one in reversed(revisions) if one.state is State.HELD]
        if not held:
            raise ForbiddenStep(revisions[0].state, Step.RETRY_ANALYSIS)
        for revision in held:
            _take_on(tx, revision, actor=actor, reason=reason, now=now)
        return revisions[0].state

    return database.transaction(work)


def _take_on(tx: Session, revision: Revision, *, actor: str, reason: str, now: datetime) -> None:
    if revision.held_in is None:
        raise ForbiddenStep(revision.state, Step.RETRY_ANALYSIS)
    step = retry_step(revision.held_in)
    cases.take(tx, revision.id, step, actor=actor, detail=reason, now=now)
    trying.end_tries(revision)
    _defer_next(tx, revision, now)
    audit.append(
        tx, actor=actor, action="case.retry", subject=f"case {revision.case_id} revision {revision.number}", reason=reason,
        detail={"step": step.value}, now=now,
    )


def cancel(database: Database, case_id: int, *, actor: str, reason: str, now: datetime) -> State:
    """End a case; returns the state of its newest revision. Earlier revisions that are on their way send no more either.

    Raises `LookupError` where there is no such case, `ForbiddenStep` where it has ended.
    """

    def work(tx: Session) -> State:
        revisions = _revisions(tx, case_id)
        going = [one for one in revisions if Step.CANCEL in TRANSITIONS[one.state]]
        if not going:
            raise ForbiddenStep(revisions[0].state, Step.CANCEL)
        for revision in going:
            cases.take(tx, revision.id, Step.CANCEL, actor=actor, detail=reason, now=now)
            audit.append(
                tx, actor=actor, action="case.cancel", subject=f"case {case_id} revision {revision.number}",
                reason=reason, detail={}, now=now,
            )
        return revisions[0].state

    return database.transaction(work)


def _revisions(tx: Session, case_id: int) -> list[Revision]:
    """Return the rows of the case's revisions, the newest first, locked."""
    revisions = cases.revisions_of(tx, case_id)
    if not revisions:
        raise LookupError(f"there is no case {case_id}; see: derm-pacs cases list")
    return [trying.locked(tx, one.id) for one in revisions]


def _defer_next(tx: Session, revision: Revision, now: datetime) -> None:
    match revision.state:
        case State.QUEUED:
            queue.defer(tx, Task.ANALYSE, revision.id)
        case State.COMPOSING:
            queue.defer(tx, Task.COMPOSE, revision.id)
        case State.DELIVERING:
            for row in deliveries.of_revision(tx, revision.id):
                if row.state is DeliveryState.REFUSED:
                    deliveries.begin_again(tx, row, now)
                    queue.defer(tx, Task.DELIVER, row.id)
        case _:
            pass

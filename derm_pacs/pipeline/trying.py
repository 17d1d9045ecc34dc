"""Counting the tries of a revision's stage, and ending or repeating them."""

from collections.abc import Callable

from sqlalchemy import select
from sqlalchemy.orm import Session

from derm_pacs.domain.case import ENDS, Step
from derm_pacs.domain.reasons import DEADLINE, DEFECT
from derm_pacs.ledger import cases
from derm_pacs.ledger.tables import Revision
from derm_pacs.pipeline import queue
from derm_pacs.pipeline.queue import Task
from derm_pacs.pipeline.retry import SILENT_TRIES, Again, GiveUp, Tries, decide
from derm_pacs.pipeline.site import Site
from derm_pacs.pipeline.stage import Failure

ACTOR = "derm-pacs"
"""The actor of every step that no person took."""


def locked(tx: Session, revision_id: int) -> Revision:
    """Return the revision's row, locked until the transaction ends."""
    return tx.scalars(select(Revision).where(Revision.id == revision_id).with_for_update()).one()


def begin_try(tx: Session, revision: Revision, site: Site) -> bool:
    """Count a try of the revision's present stage; False where it was held instead.

    Tries that ended without a word (their process was killed) and tries past the deadline hold the case.
    """
    now = site.now()
    if revision.first_failed_at is not None and now - revision.first_failed_at > site.deadline:
        cases.take(tx, revision.id, Step.HOLD, actor=ACTOR, reason=DEADLINE, detail=revision.last_error or "", now=now)
        return False
    if revision.last_error is None and revision.attempts >= SILENT_TRIES:
        detail = f"the process ended {revision.attempts} times without a word"
        cases.take(tx, revision.id, Step.HOLD, actor=ACTOR, reason=DEFECT, detail=detail, now=now)
        return False
    revision.attempts += 1
    return True


def end_tries(revision: Revision) -> None:
    """Forget the tries: the stage is done."""
    revision.attempts = 0
    revision.first_failed_at = None
    revision.last_error = None


def fail(task: Task) -> Callable[[Session, int, Failure, Site], None]:
    """Return the `fail` of the stage of a revision that `task` runs: it comes again by `retry.decide`, or holds."""

    def count(tx: Session, revision_id: int, failure: Failure, site: Site) -> None:
        now = site.now()
        revision = locked(tx, revision_id)
        if revision.state in ENDS:
            return
        revision.attempts += not failure.counted
        tries = Tries(count=revision.attempts, first_failed_at=revision.first_failed_at)
        revision.first_failed_at = revision.first_failed_at or now
        revision.last_error = failure.trace or str(failure.error)
        match decide(failure.error, tries, deadline=site.deadline, now=now):
            case Again(at=at):
                queue.defer(tx, task, revision_id, at=at)
            case GiveUp(reason=reason, detail=detail):
                cases.take(tx, revision_id, Step.HOLD, actor=ACTOR, reason=reason, detail=detail, now=now)

    return count

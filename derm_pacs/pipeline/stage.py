"""The shape of all stages: claim, work, settle, and what follows from a failed try.

    transaction 1   claim: take the subject on if it waits for this stage, load the typed input; None: nothing left to do
    no transaction  work: pure, or through exactly one door (runner, network)
    transaction 2   settle: steps by the table, rows, event rows, next jobs; all or nothing
    or              fail: count the try, and come again or give up

A second run of the same job does nothing. Killed in `work`, the next try goes on from where the ledger stands.
Cancelled meanwhile, `settle` meets a forbidden step, rolls back, and what was made is dropped.
"""

import logging
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from sqlalchemy.orm import Session

from derm_pacs.domain.case import ForbiddenStep
from derm_pacs.domain.errors import Defect, Transient, WalkError
from derm_pacs.domain.reasons import DATABASE_AWAY, DEFECT
from derm_pacs.pipeline.queue import Task
from derm_pacs.pipeline.site import Site

Given = TypeVar("Given")
Made = TypeVar("Made")

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """What went wrong in a try."""

    error: WalkError
    trace: str
    """The traceback of a defect, empty otherwise."""
    counted: bool
    """Whether the claim was committed, which counts the try; an error in the claim takes its count back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage(Generic[Given, Made]):
    """One stage of the walk."""

    task: Task
    claim: Callable[[Session, int, Site], Given | None]
    work: Callable[[Given, Site], Made]
    settle: Callable[[Session, Given, Made, Site], None]
    fail: Callable[[Session, int, Failure, Site], None]
    """Gets the subject and what went wrong."""


def run(stage: Stage[Given, Made], subject: int, site: Site) -> None:
    """Run a stage on a subject (id of a revision or of a delivery).

    Raises only when the database stays away; the queue then brings the job again.
    """
    claimed = False
    try:
        given = site.database.transaction(lambda tx: stage.claim(tx, subject, site))
        if given is None:
            _LOG.debug("nothing left to do: %s %d", stage.task, subject)
            return
        claimed = True
        made = stage.work(given, site)
        site.database.transaction(lambda tx: stage.settle(tx, given, made, site))
    except ForbiddenStep as refused:
        _LOG.info("dropped what was made by %s %d: %s", stage.task, subject, refused)
    except Exception as error:
        said = _translated(error)
        if said.reason is DATABASE_AWAY:
            raise
        _LOG.warning("%s %d: %s", stage.task, subject, said)
        trace = _trace(error) if isinstance(said, Defect) else ""
        failure = Failure(error=said, trace=trace, counted=claimed)
        site.database.transaction(lambda tx: stage.fail(tx, subject, failure, site))


def _trace(error: BaseException) -> str:
    """Return the traceback, the cause first; of others' errors without their words, which may quote a patient's value."""
    below = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    words = f": {error}" if isinstance(error, WalkError) else ""
    lines = "".join(traceback.format_tb(error.__traceback__))
    return f"{_trace(below) if below is not None else ''}{lines}{type(error).__name__}{words}\n"


def _translated(error: Exception) -> WalkError:
    if isinstance(error, WalkError):
        return error
    if isinstance(error, OSError):
        # A full or failing disk, a socket that broke: it may mend.
        return Transient(DEFECT, f"{type(error).__name__}: {error.strerror or 'no further word'}")
    return Defect(DEFECT, type(error).__name__)

"""Close: a study in which nothing new arrived is complete, and its analysis is due."""

from datetime import timedelta

from sqlalchemy.orm import Session

from derm_pacs.domain.case import ENDS, State
from derm_pacs.domain.study import Complete, Quiet, completeness
from derm_pacs.ledger import cases
from derm_pacs.pipeline import queue, trying
from derm_pacs.pipeline.queue import Task
from derm_pacs.pipeline.site import utc_now

_STAMP_TO_DISK = timedelta(seconds=1)
"""A listener stamps an object before its bytes are on the disk; a study is closed only when filing is past that."""


def close_quiet(tx: Session, quiet: Quiet) -> int:
    """Close every revision that is complete by the times of the spool; returns how many.

    A revision waits for the one before it until that one's results are made, so that its SRs can name them.
    """
    drained = cases.drained_until(tx)
    if drained is None:
        return 0
    drained = min(drained, utc_now())  # a machine's clock may have been ahead when the mark was made
    closed = 0
    for one in cases.receiving(tx):
        complete = completeness(one.arrivals, quiet, drained - _STAMP_TO_DISK)
        if isinstance(complete, Complete) and earlier_are_composed(tx, one.case_id, one.number):
            cases.close(tx, one.revision_id, complete, actor=trying.ACTOR, now=utc_now())
            queue.defer(tx, Task.ANALYSE, one.revision_id)
            closed += 1
    return closed


def earlier_are_composed(tx: Session, case_id: int, number: int) -> bool:
    """Whether all earlier revisions of the case have made their results, or have ended."""
    done = ENDS | {State.DELIVERING}
    return all(row.state in done for row in cases.revisions_of(tx, case_id) if row.number < number)

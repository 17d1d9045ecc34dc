"""What follows from a failed try: one pure function of the error, the tries and the time."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from derm_pacs.domain.errors import Busy, Defect, Rejected, Transient, WalkError
from derm_pacs.domain.reasons import DEADLINE, DEFECT, Reason

DEFECT_TRIES = 3
"""Tries after which a defect holds the case."""
SILENT_TRIES = 8
"""Tries that ended without any word (their process was killed) after which the case is held."""
_FIRST_WAIT = timedelta(seconds=2)
_LONGEST_WAIT = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tries:
    """The tries of one stage on one subject so far, the present one included."""

    count: int
    first_failed_at: datetime | None
    """When the first of the failed tries ended (UTC), None where none has failed before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """Try again at `at` (UTC)."""

    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class GiveUp:
    """No further try; `reason` stands with the subject."""

    reason: Reason
    detail: str


def wait_before(count: int) -> timedelta:
    """Return the pause after try number `count` (1-based): doubling, at most five minutes."""
    doublings = min(count - 1, 20)
    return min(_FIRST_WAIT * (1 << doublings), _LONGEST_WAIT)


def decide(error: WalkError, tries: Tries, *, deadline: timedelta, now: datetime) -> Again | GiveUp:
    """Say what follows from `error`.

    `Transient` and `Busy` are tried again until `deadline` after the first failure, `Defect` three times,
    `Rejected` never.
    """
    match error:
        case Rejected():
            return GiveUp(reason=error.reason, detail=error.detail)
        case Defect():
            if tries.count >= DEFECT_TRIES:
                return GiveUp(reason=error.reason, detail=error.detail)
            return Again(at=now + wait_before(tries.count))
        case Transient() | Busy():
            started = tries.first_failed_at or now
            at = now + wait_before(tries.count)
            if at - started > deadline:
                return GiveUp(reason=DEADLINE, detail=str(error))
            return Again(at=at)
        case _:
            return GiveUp(reason=DEFECT, detail=str(error))

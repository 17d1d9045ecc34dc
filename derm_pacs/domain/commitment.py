"""Storage commitment as its user: what was asked, what was reported, what follows (PS3.4 annex J)."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One commitment transaction."""

    transaction_uid: str
    instances: frozenset[str]
    """SOP Instance UIDs."""
    deadline: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """What the N-EVENT-REPORT of the transaction says."""

    transaction_uid: str
    committed: frozenset[str]
    failed: tuple[tuple[str, int], ...]
    """(SOP Instance UID, Failure Reason (0008,1197)) of every instance that is not kept."""


@dataclass(frozen=True, slots=True)
class Confirmed:
    """Every instance asked for is committed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """Some instances are not kept, or the report omits them."""

    instances: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Waiting:
    """No report yet."""


@dataclass(frozen=True, slots=True)
class Overdue:
    """No report before the deadline."""


def settle(asked: Asked, reported: Reported | None, now: datetime) -> Confirmed | Failed | Waiting | Overdue:
    """Say where a transaction stands at `now`.

    A report that omits an instance has not committed it: all references must come back.
    """
    if reported is None:
        return Overdue() if now >= asked.deadline else Waiting()
    missing = asked.instances - reported.committed
    if missing:
        return Failed(instances=tuple(sorted(missing)))
    return Confirmed()

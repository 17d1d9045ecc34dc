"""The state machine of a case: everything that decides how a revision's state may change lives in this file.

A case is one study's walk; each of its revisions walks through these states, and the case shows the newest one's.
The database's own refusal, the diagram in the documentation and the tests are made from `TRANSITIONS`.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class State(StrEnum):
    """Where a revision stands."""

    RECEIVING = "receiving"
    QUEUED = "queued"
    ANALYSING = "analysing"
    COMPOSING = "composing"
    DELIVERING = "delivering"
    CONFIRMED = "confirmed"
    UNCONFIRMED = "unconfirmed"
    REJECTED = "rejected"
    HELD = "held"
    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"


class Step(StrEnum):
    """What may happen to a revision."""

    CLOSE = "close"
    BEGIN_ANALYSIS = "begin_analysis"
    FINISH_ANALYSIS = "finish_analysis"
    FINISH_COMPOSING = "finish_composing"
    CONFIRM = "confirm"
    END_UNCONFIRMED = "end_unconfirmed"
    REJECT = "reject"
    HOLD = "hold"
    CANCEL = "cancel"
    SUPERSEDE = "supersede"
    RETRY_RECEIVING = "retry_receiving"
    RETRY_ANALYSIS = "retry_analysis"
    RETRY_COMPOSING = "retry_composing"
    RETRY_DELIVERY = "retry_delivery"


MEANING: Mapping[State, tuple[str, str]] = MappingProxyType({
    State.RECEIVING: ("Images arrive; the study is not complete yet.", "nobody"),
    State.QUEUED: ("The study is complete and waits for analysis.", "nobody"),
    State.ANALYSING: ("Bundles read the images.", "nobody"),
    State.COMPOSING: ("SR and SEG are made from the findings.", "nobody"),
    State.DELIVERING: ("Results go to the destinations and are waited for to be confirmed.", "nobody"),
    State.CONFIRMED: ("Every destination has proven that it keeps the results.", "nobody"),
    State.UNCONFIRMED: ("Everything was sent; at least one destination has no way to prove that it keeps it.", "admin, if that is new"),
    State.REJECTED: ("The input cannot be analysed; the reason stands with the case.", "who sent it"),
    State.HELD: ("Tries are used up, or sending would be wrong; a person retries or cancels.", "admin or lead"),
    State.CANCELLED: ("A person ended the case.", "nobody"),
    State.SUPERSEDED: ("A later revision of the study took its place.", "nobody"),
})
"""For each state: what it means, and who acts."""

TRANSITIONS: Mapping[State, Mapping[Step, State]] = MappingProxyType({
    State.RECEIVING: MappingProxyType({
        Step.CLOSE: State.QUEUED,
        Step.REJECT: State.REJECTED,
        Step.HOLD: State.HELD,
        Step.CANCEL: State.CANCELLED,
    }),
    State.QUEUED: MappingProxyType({
        Step.BEGIN_ANALYSIS: State.ANALYSING,
        Step.HOLD: State.HELD,
        Step.CANCEL: State.CANCELLED,
    }),
    State.ANALYSING: MappingProxyType({
        Step.FINISH_ANALYSIS: State.COMPOSING,
        Step.REJECT: State.REJECTED,
        Step.HOLD: State.HELD,
        Step.CANCEL: State.CANCELLED,
    }),
    State.COMPOSING: MappingProxyType({
        Step.FINISH_COMPOSING: State.DELIVERING,
        Step.REJECT: State.REJECTED,
        Step.HOLD: State.HELD,
        Step.CANCEL: State.CANCELLED,
    }),
    State.DELIVERING: MappingProxyType({
        Step.CONFIRM: State.CONFIRMED,
        Step.END_UNCONFIRMED: State.UNCONFIRMED,
        Step.REJECT: State.REJECTED,
        Step.HOLD: State.HELD,
        Step.CANCEL: State.CANCELLED,
    }),
    State.CONFIRMED: MappingProxyType({Step.SUPERSEDE: State.SUPERSEDED}),
    State.UNCONFIRMED: MappingProxyType({Step.SUPERSEDE: State.SUPERSEDED}),
    State.REJECTED: MappingProxyType({Step.SUPERSEDE: State.SUPERSEDED}),
    State.HELD: MappingProxyType({
        Step.RETRY_RECEIVING: State.RECEIVING,
        Step.RETRY_ANALYSIS: State.QUEUED,
        Step.RETRY_COMPOSING: State.COMPOSING,
        Step.RETRY_DELIVERY: State.DELIVERING,
        Step.CANCEL: State.CANCELLED,
        Step.SUPERSEDE: State.SUPERSEDED,
    }),
    State.CANCELLED: MappingProxyType({Step.SUPERSEDE: State.SUPERSEDED}),
    State.SUPERSEDED: MappingProxyType({}),
})

ENDS = frozenset({
    State.CONFIRMED, State.UNCONFIRMED, State.REJECTED, State.HELD, State.CANCELLED, State.SUPERSEDED,
})
"""The states in which nothing happens by itself any more."""

_RETRY: Mapping[State, Step] = MappingProxyType({
    State.RECEIVING: Step.RETRY_RECEIVING,
    State.QUEUED: Step.RETRY_ANALYSIS,
    State.ANALYSING: Step.RETRY_ANALYSIS,
    State.COMPOSING: Step.RETRY_COMPOSING,
    State.DELIVERING: Step.RETRY_DELIVERY,
})


class ForbiddenStep(Exception):
    """A step that the table does not know in this state."""

    def __init__(self, state: State, step: Step) -> None:
        """Names the state, the step and what would be allowed."""
        allowed = ", ".join(TRANSITIONS[state]) or "nothing"
        super().__init__(f"a case that is {state} cannot {step}; allowed: {allowed}")
        self.state = state
        self.step = step


def advance(state: State, step: Step) -> State:
    """Return the state after `step`, or raise `ForbiddenStep`."""
    try:
        return TRANSITIONS[state][step]
    except KeyError:
        raise ForbiddenStep(state, step) from None


def retry_step(held_in: State) -> Step:
    """Return the step by which a person's retry takes a held case on from where it was held.

    Raises `ValueError` for a state from which no case is held.
    """
    try:
        return _RETRY[held_in]
    except KeyError:
        raise ValueError(f"no case is held in the state {held_in}") from None

"""The life of a delivery, and how deliveries decide the end of their case."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from types import MappingProxyType

from derm_pacs.domain.case import Step


class DeliveryState(StrEnum):
    """Where one result set stands on its way to one destination."""

    PENDING = "pending"
    """Not everything is sent yet."""
    SENT = "sent"
    """All sent; the proof is waited for."""
    PROVEN = "proven"
    """It is shown that the destination has every object; `Proof` says how."""
    UNPROVABLE = "unprovable"
    """All sent; the destination has no way to prove it, or never did."""
    REFUSED = "refused"
    """Refused for good, or past its deadline."""


class Proof(StrEnum):
    """How it was shown that a destination has every object."""

    COMMITMENT = "commitment"
    """It committed to keep them (storage commitment, PS3.4 annex J)."""
    QUERY = "query"
    """It lists every one of them when it is asked (C-FIND or QIDO-RS)."""
    ACKNOWLEDGED = "acknowledged"
    """A record system accepted the message (HL7 MSA-1 AA)."""


DELIVERY_TRANSITIONS: Mapping[DeliveryState, frozenset[DeliveryState]] = MappingProxyType({
    DeliveryState.PENDING: frozenset({
        DeliveryState.SENT, DeliveryState.PROVEN, DeliveryState.UNPROVABLE, DeliveryState.REFUSED,
    }),
    DeliveryState.SENT: frozenset({DeliveryState.PROVEN, DeliveryState.UNPROVABLE, DeliveryState.REFUSED}),
    DeliveryState.PROVEN: frozenset(),
    DeliveryState.UNPROVABLE: frozenset(),
    DeliveryState.REFUSED: frozenset({DeliveryState.PENDING}),
})
"""Allowed changes; a record system's acknowledgement is the proof at once; a refused delivery becomes pending again by a person's retry."""


def case_end(states: Iterable[DeliveryState], *, analysed: bool) -> Step | None:
    """Return the step by which the deliveries end their case, or None while one is on its way.

    One refused delivery holds the case; a refused input ends rejected once its answer is sent; all proven confirms;
    else at least one destination could not prove it.
    """
    seen = list(states)
    if any(state in (DeliveryState.PENDING, DeliveryState.SENT) for state in seen):
        return None
    if DeliveryState.REFUSED in seen:
        return Step.HOLD
    if not analysed:
        return Step.REJECT
    if all(state is DeliveryState.PROVEN for state in seen):
        return Step.CONFIRM
    return Step.END_UNCONFIRMED

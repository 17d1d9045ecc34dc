"""What the listener offers and to whom: its policy from the settings, its presentation contexts."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from pynetdicom.presentation import PresentationContext, build_context

from derm_pacs.domain import classes
from derm_pacs.settings.model import ProofBy, Settings

GRACE_SECONDS: Final = 10.0
"""How long running associations may go on after the stop."""
STALL_SECONDS: Final = 60.0
"""How long a connection may stand still in the middle of a PDU, or not take an answer."""
MAXIMUM_PDU: Final = 131_072
"""Bytes of a P-DATA-TF that we announce; larger ones make large objects faster, at so much memory an association."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerPolicy:
    """All that the listener needs of the settings."""

    ae_title: str
    host: str
    port: int
    """0 takes a free one."""
    share_port: bool
    """Whether several listener processes bind the port (SO_REUSEPORT)."""
    maximum_associations: int
    callers: frozenset[str]
    """AE titles whose associations are accepted; all others are rejected, also where this is empty."""
    senders: frozenset[str]
    """AE titles among the callers that may store."""
    spool_dir: Path
    segment_bytes: int
    reserve_bytes: int
    grace_seconds: float = GRACE_SECONDS
    stall_seconds: float = STALL_SECONDS
    """How long a connection may stand still in the middle of a PDU."""


def policy(settings: Settings) -> ListenerPolicy:
    """Return the listener's policy.

    A destination that is asked for storage commitment reports on an association of its own, so its AE title is let
    in even where it may not store.
    """
    senders = frozenset(peer.ae_title for peer in settings.peers if peer.may_send)
    asked = {destination.peer for destination in settings.destinations if destination.proof is ProofBy.COMMITMENT}
    reporters = frozenset(peer.ae_title for peer in settings.peers if peer.name in asked)
    return ListenerPolicy(
        ae_title=settings.listener.ae_title,
        host=settings.listener.host,
        port=settings.listener.port,
        share_port=settings.listener.processes > 1,
        maximum_associations=settings.listener.maximum_associations,
        callers=senders | reporters,
        senders=senders,
        spool_dir=settings.spool_dir,
        segment_bytes=settings.spool.segment_megabytes * 1_000_000,
        reserve_bytes=settings.spool.disk_reserve_megabytes * 1_000_000,
    )


class SharedContexts(list[PresentationContext]):
    """Presentation contexts that all associations share.

    pynetdicom makes a deep copy of them for each association, which holds up every other one for milliseconds; it
    only reads them while it negotiates.
    """

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return the very same list."""
        return self


def contexts() -> SharedContexts:
    """Return the presentation contexts: analysable classes, evidence, Verification, Storage Commitment as its user.

    pynetdicom takes the first transfer syntax of our list that the peer offers. Roles speak of the requestor: a
    destination reports as the SCP of Storage Commitment, and only True/True accepts every proposal of roles (PS3.7
    D.3.3.4).
    """
    every = [syntax.uid for syntax in classes.TRANSFER_SYNTAXES]
    native = [syntax.uid for syntax in classes.TRANSFER_SYNTAXES if not syntax.compressed]
    offered = SharedContexts(
        build_context(one.uid, every if one.pixels else native) for one in (*classes.ANALYSABLE, *classes.EVIDENCE)
    )
    offered.append(build_context(classes.VERIFICATION, native))
    commitment = build_context(classes.STORAGE_COMMITMENT_PUSH, native)
    commitment.scu_role = True
    commitment.scp_role = True
    offered.append(commitment)
    return offered

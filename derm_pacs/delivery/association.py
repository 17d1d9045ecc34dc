"""One association to a destination, opened and ended within bounds; every failure becomes one of our errors."""

import socket
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.events import EventHandlerType
from pynetdicom.presentation import PresentationContext

from derm_pacs.delivery.interface import Destination
from derm_pacs.domain.errors import Busy, Rejected, Transient
from derm_pacs.domain.marks import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from derm_pacs.domain.reasons import NO_CONTEXT, PEER_AWAY, PEER_BUSY, PEER_REFUSES

_REJECTED_TRANSIENT = 2


@contextmanager
def associated(
    destination: Destination, contexts: Sequence[PresentationContext], *, answer_seconds: float, handlers: Sequence[EventHandlerType] = ()
) -> Iterator[Association]:
    """Open an association with exactly these contexts, release it at the end, abort it where the body raises.

    Raises `Transient` (PEER_AWAY) where nobody answers or the connection breaks, `Busy` (PEER_BUSY) for a transient and
    `Rejected` (PEER_REFUSES) for a permanent rejection, `Rejected` (NO_CONTEXT) where no context is accepted.
    """
    association = _associate(destination, contexts, answer_seconds, handlers)
    try:
        _require_established(association, destination)
        yield association
    except BaseException:
        association.abort()
        raise
    # Everything was acknowledged by now: a peer that does not answer the release takes nothing back.
    association.release()
    if association.is_established:
        association.abort()


def where(destination: Destination) -> str:
    """Name a destination for an error's detail."""
    return f"{destination.name}: {destination.ae_title} at {destination.host}:{destination.port}"


def _associate(
    destination: Destination, contexts: Sequence[PresentationContext], answer_seconds: float, handlers: Sequence[EventHandlerType]
) -> Association:
    entity = AE(ae_title=destination.calling_ae)
    entity.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    entity.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    entity.connection_timeout = destination.connect_seconds
    entity.acse_timeout = destination.answer_seconds
    entity.dimse_timeout = answer_seconds
    entity.network_timeout = None  # the waiting side's own timeouts end a silent association
    bound: EventHandlerType = (evt.EVT_CONN_OPEN, _bound_socket, [answer_seconds])
    try:
        return entity.associate(
            destination.host, destination.port, contexts=list(contexts), ae_title=destination.ae_title,
            evt_handlers=[bound, *handlers],
        )
    except (OSError, RuntimeError) as error:
        raise Transient(PEER_AWAY, f"{where(destination)}: {error}") from error


def _bound_socket(event: evt.Event, seconds: float) -> None:
    """Let a send that the peer does not take, and half a PDU that it never ends, end with an error.

    pynetdicom's own calls would block for ever there, and its thread would keep the process from ending.
    """
    transport = event.assoc.dul.socket
    if transport is not None and transport.socket is not None:
        limit = struct.pack("ll", int(seconds), int(seconds % 1 * 1_000_000))
        transport.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
        transport.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)


def _require_established(association: Association, destination: Destination) -> None:
    if association.is_established:
        return
    answer = association.acceptor.primitive
    if association.is_rejected and answer is not None:
        said = f"{where(destination)}: {answer.result_str}, {answer.reason_str}"
        if answer.result == _REJECTED_TRANSIENT:
            raise Busy(PEER_BUSY, said)
        raise Rejected(PEER_REFUSES, said)
    if answer is not None and answer.result == 0:
        contexts = association.requestor.requested_contexts
        asked = sorted({context.abstract_syntax.name for context in contexts if context.abstract_syntax is not None})
        raise Rejected(NO_CONTEXT, f"{where(destination)}: accepts none of {', '.join(asked)}")
    raise Transient(PEER_AWAY, f"{where(destination)}: no answer to the association request")

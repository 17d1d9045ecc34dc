"""C-STORE as user: the objects of one delivery over one association.

Statuses by PS3.4 table B.2-1 and PS3.7 annex C: success and warnings are stored; out of resources is tried again; all
else is refused for good. An object that is refused keeps none of the others back.
"""

import io
from collections.abc import Callable, Sequence

import pydicom
from pydicom.uid import UID, ImplicitVRLittleEndian
from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext, build_context

from derm_pacs.delivery.association import associated, where
from derm_pacs.delivery.interface import Destination
from derm_pacs.domain.composed import Composed
from derm_pacs.domain.errors import Busy, Rejected, Transient
from derm_pacs.domain.reasons import NO_CONTEXT, OBJECT_REFUSED, PEER_AWAY, PEER_BUSY

OnStored = Callable[[str, int], None]

_STORED = frozenset({0x0000, 0xB000, 0xB006, 0xB007})
_DUPLICATE = 0x0111
"""The peer has an object of this SOP Instance UID: ours, since a UID of ours never stands for two byte strings."""
_AGAIN = frozenset({0x0110, 0x0213})
"""Processing failure and resource limitation: nothing is said against the object."""


def send(destination: Destination, objects: Sequence[Composed], on_stored: OnStored) -> None:
    """Send the objects in their order; `on_stored(sop_instance_uid, status)` is called after each that the peer has.

    Raises `Transient` (PEER_AWAY) or `Busy` (PEER_BUSY) at the first object at which the peer is lost or out of
    resources; what was reported by then is stored. Raises `Rejected` (NO_CONTEXT, OBJECT_REFUSED) after all objects
    were tried, naming those that were refused, and `Rejected` (PEER_REFUSES) where the association is rejected.
    """
    if not objects:
        return
    without_context: list[str] = []
    refused: list[str] = []
    with associated(destination, _contexts(objects), answer_seconds=destination.store_seconds) as association:
        accepted = {(str(one.abstract_syntax), str(one.transfer_syntax[0])) for one in association.accepted_contexts}
        for message_id, one in enumerate(objects, 1):
            if not accepted & _syntaxes(one):
                without_context.append(one.form)
                continue
            status = _store(association, one, message_id % 65536, destination)
            if status in _STORED or status == _DUPLICATE:
                on_stored(one.sop_instance_uid, status)
            elif status in _AGAIN or status & 0xFF00 == 0xA700:
                raise Busy(PEER_BUSY, f"{where(destination)}: status 0x{status:04X} for {one.form}")
            else:
                refused.append(f"{one.form} {one.sop_instance_uid} with status 0x{status:04X}")
    if refused:
        raise Rejected(OBJECT_REFUSED, f"{where(destination)}: {', '.join(refused)}")
    if without_context:
        raise Rejected(NO_CONTEXT, f"{where(destination)}: no context for {', '.join(sorted(set(without_context)))}")


def _contexts(objects: Sequence[Composed]) -> list[PresentationContext]:
    """Propose each object's own transfer syntax, and in a context of its own the one that every peer must know.

    In one context together, many peers would choose the default and be sent re-encoded objects.
    """
    pairs = sorted(set[tuple[str, str]]().union(*(_syntaxes(one) for one in objects)))
    return [build_context(sop_class, [syntax]) for sop_class, syntax in pairs]


def _syntaxes(one: Composed) -> set[tuple[str, str]]:
    """Return the contexts in which an object can go out: in its own syntax, and uncompressed in the default one.

    Every peer must take the default, and every requestor propose it (PS3.5 section 10.1); its bytes then differ from the
    kept ones by the encoding of lengths and value representations alone.
    """
    own = {(one.sop_class_uid, one.transfer_syntax_uid)}
    if UID(one.transfer_syntax_uid).is_compressed:
        return own
    return own | {(one.sop_class_uid, str(ImplicitVRLittleEndian))}


def _store(association: Association, one: Composed, message_id: int, destination: Destination) -> int:
    try:
        answer = association.send_c_store(pydicom.dcmread(io.BytesIO(one.data)), msg_id=message_id)
    except RuntimeError as error:  # the association ended before this object
        raise Transient(PEER_AWAY, f"{where(destination)}: the association ended before {one.form}") from error
    if "Status" not in answer:
        raise Transient(PEER_AWAY, f"{where(destination)}: no answer to the C-STORE of {one.form}")
    return int(answer.Status)

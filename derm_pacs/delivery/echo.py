"""C-ECHO as user: whether the destination answers, and knows us."""

from pydicom.uid import UID
from pynetdicom.presentation import build_context

from derm_pacs.delivery.association import associated, where
from derm_pacs.delivery.interface import Destination
from derm_pacs.domain.errors import Rejected, Transient
from derm_pacs.domain.reasons import PEER_AWAY, PEER_REFUSES

VERIFICATION = UID("1.2.840.10008.1.1")


def echo(destination: Destination) -> None:
    """Return where the destination answers a C-ECHO with success.

    Raises `Transient` (PEER_AWAY), `Busy` (PEER_BUSY) or `Rejected` (PEER_REFUSES, NO_CONTEXT) where it does not.
    """
    with associated(destination, [build_context(VERIFICATION)], answer_seconds=destination.answer_seconds) as association:
        try:
            answer = association.send_c_echo()
        except RuntimeError as error:
            raise Transient(PEER_AWAY, f"{where(destination)}: the association ended before the echo") from error
        if "Status" not in answer:
            raise Transient(PEER_AWAY, f"{where(destination)}: no answer to the C-ECHO")
        if answer.Status != 0x0000:
            raise Rejected(PEER_REFUSES, f"{where(destination)}: status 0x{answer.Status:04X} for the C-ECHO")

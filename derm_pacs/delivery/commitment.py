"""Storage commitment as user: ask by N-ACTION, wait some seconds for a report on the same association (PS3.4 annex J).

Most destinations report later, on an association of their own to our listener; then nothing is returned here.
"""

import threading
from collections.abc import Sequence

from pydicom import Dataset
from pydicom.uid import UID
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.events import EventHandlerType
from pynetdicom.pdu import P_DATA_TF
from pynetdicom.presentation import build_context

from derm_pacs.delivery.association import associated, where
from derm_pacs.delivery.interface import Destination
from derm_pacs.domain.commitment import Reported
from derm_pacs.domain.errors import Busy, Rejected, Transient
from derm_pacs.domain.reasons import NO_COMMITMENT, NO_CONTEXT, PEER_AWAY, PEER_BUSY

COMMITMENT_PUSH_MODEL = UID("1.2.840.10008.1.20.1")
WELL_KNOWN_INSTANCE = UID("1.2.840.10008.1.20.1.1")
REQUEST_COMMITMENT = 1
_AGAIN = frozenset({0x0110, 0x0213})
"""Processing failure and resource limitation."""
_NOT_OURS = 0x0110


def ask(
    destination: Destination, transaction_uid: str, references: Sequence[tuple[str, str]], *, wait_seconds: float = 3.0
) -> Reported | None:
    """Ask the destination to commit to (SOP class, SOP instance) `references`.

    Returns the report where it comes on the same association within `wait_seconds`, None where it is to come later.
    Raises `Rejected` (NO_COMMITMENT) where the destination offers no commitment or refuses the request, else as
    `associated`.
    """
    waiting = _Waiting(transaction_uid)
    handlers: list[EventHandlerType] = [
        (evt.EVT_N_EVENT_REPORT, waiting.take),
        (evt.EVT_PDU_SENT, waiting.answered),
        (evt.EVT_ABORTED, waiting.end),
        (evt.EVT_RELEASED, waiting.end),
        (evt.EVT_CONN_CLOSE, waiting.end),
    ]
    contexts = [build_context(COMMITMENT_PUSH_MODEL)]
    try:
        with associated(destination, contexts, answer_seconds=destination.answer_seconds, handlers=handlers) as association:
            _request(association, destination, transaction_uid, references)
            waiting.over.wait(wait_seconds)
    except Rejected as error:
        if error.reason is NO_CONTEXT:
            raise Rejected(NO_COMMITMENT, error.detail) from error
        raise
    return waiting.report


class _Waiting:
    """What the association's thread hands to ours."""

    def __init__(self, transaction_uid: str) -> None:
        self.transaction_uid = transaction_uid
        self.report: Reported | None = None
        self.over = threading.Event()

    def take(self, event: evt.Event) -> tuple[int, None]:
        """Take the report of our transaction; another's is answered as failed, so that its sender keeps it."""
        information = event.event_information
        if str(information.get("TransactionUID")) != self.transaction_uid:
            return _NOT_OURS, None
        self.report = reported(information)
        return 0x0000, None

    def answered(self, event: evt.Event) -> None:
        """Stop waiting once our answer to the report has gone: a release before it would break the association."""
        if self.report is not None and isinstance(event.pdu, P_DATA_TF):
            self.over.set()

    def end(self, _event: evt.Event) -> None:
        """Stop waiting: the association is gone."""
        self.over.set()


def reported(information: Dataset) -> Reported:
    """Return what the Event Information of a storage commitment report says."""
    return Reported(
        transaction_uid=str(information.TransactionUID),
        committed=frozenset(
            str(item.ReferencedSOPInstanceUID) for item in information.get("ReferencedSOPSequence") or []
        ),
        failed=tuple(
            (str(item.ReferencedSOPInstanceUID), int(item.get("FailureReason") or 0x0110))
            for item in information.get("FailedSOPSequence") or []
        ),
    )


def _request(
    association: Association, destination: Destination, transaction_uid: str, references: Sequence[tuple[str, str]]
) -> None:
    try:
        answer, _ = association.send_n_action(
            _action_information(transaction_uid, references), REQUEST_COMMITMENT, COMMITMENT_PUSH_MODEL, WELL_KNOWN_INSTANCE
        )
    except RuntimeError as error:
        raise Transient(PEER_AWAY, f"{where(destination)}: the association ended before the N-ACTION") from error
    if "Status" not in answer:
        raise Transient(PEER_AWAY, f"{where(destination)}: no answer to the N-ACTION")
    status = int(answer.Status)
    if status in _AGAIN:
        raise Busy(PEER_BUSY, f"{where(destination)}: status 0x{status:04X} for the N-ACTION")
    if status != 0x0000:
        raise Rejected(NO_COMMITMENT, f"{where(destination)}: status 0x{status:04X} for the N-ACTION")


def _action_information(transaction_uid: str, references: Sequence[tuple[str, str]]) -> Dataset:
    information = Dataset()
    information.TransactionUID = transaction_uid
    information.ReferencedSOPSequence = []
    for sop_class_uid, sop_instance_uid in references:
        item = Dataset()
        item.ReferencedSOPClassUID = sop_class_uid
        item.ReferencedSOPInstanceUID = sop_instance_uid
        information.ReferencedSOPSequence.append(item)
    return information

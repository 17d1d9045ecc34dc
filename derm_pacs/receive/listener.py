"""The DICOM listener of one process: associations in, spool records out, the answer after the sync."""

import logging
import socket
import socketserver
import struct
import threading
import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from types import TracebackType
from typing import Final, Self, cast

from pydicom.dataset import Dataset
from pynetdicom import _config, evt
from pynetdicom.ae import ApplicationEntity
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.pdu_primitives import A_ASSOCIATE
from pynetdicom.transport import ThreadedAssociationServer

from derm_pacs.domain.errors import Busy, Rejected, Transient, WalkError
from derm_pacs.domain.reasons import LISTENER_FAILED, NOT_AUTHORISED, NOT_DICOM
from derm_pacs.receive import commitment, negotiate, status
from derm_pacs.receive.accept import StoreRequest, accept
from derm_pacs.receive.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from derm_pacs.settings.model import Settings
from derm_pacs.spool.journal import Journal

log = logging.getLogger(__name__)

_CALLING_NOT_RECOGNISED: Final = (1, 1, 3)
"""A-ASSOCIATE-RJ: permanent, by the service user, calling AE title not recognised (PS3.8 table 9-21)."""

_POLL_SECONDS: Final = 0.1
"""How soon the accepting thread sees the stop."""


class _Server(ThreadedAssociationServer):
    request_queue_size = 128

    def shutdown(self) -> None:
        """End accepting and close the socket; associations go on."""
        socketserver.BaseServer.shutdown(self)
        self.server_close()


class _SharingServer(_Server):
    def server_bind(self) -> None:
        """Bind the port that other listener processes bind as well."""
        cast(socket.socket, self.socket).setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        super().server_bind()


class Listener:
    """One listening port and its journal; accepts from the moment it is made until `stop`."""

    def __init__(self, policy: negotiate.ListenerPolicy, *, index: int) -> None:
        """Open the journal `listener-<index>`, recover it and listen.

        Raises `Transient(JOURNAL_FAILED)` where the spool cannot be opened, `OSError` where the port cannot be bound.
        """
        self._policy = policy
        # The library's own handlers format every message for its log, in which data sets would stand.
        _config.LOG_HANDLER_LEVEL = "none"
        self._journal = Journal(
            policy.spool_dir / f"listener-{index}",
            segment_bytes=policy.segment_bytes,
            reserve_bytes=policy.reserve_bytes,
        )
        try:
            self._server = self._listen()
        except BaseException:
            self._journal.close()
            raise
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_POLL_SECONDS,), name="listener", daemon=True
        )
        self._thread.start()

    def __enter__(self) -> Self:
        """Return the listener itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the listener."""
        self.stop()

    @property
    def port(self) -> int:
        """The TCP port that is listened on."""
        return int(self._server.server_address[1])

    def stop(self) -> None:
        """Take no new association, give the running ones the grace period, abort the rest, close the journal."""
        self._server.shutdown()
        self._thread.join()
        deadline = time.monotonic() + self._policy.grace_seconds
        for association in self._server.active_associations:
            association.join(max(0.0, deadline - time.monotonic()))
        for association in self._server.active_associations:
            log.warning("association of %r aborted by the stop", association.requestor.ae_title)
            association.abort(block=False)
        for association in self._server.active_associations:
            association.join(1.0)
        self._journal.close()

    def _listen(self) -> _Server:
        entity = ApplicationEntity(self._policy.ae_title)
        entity.implementation_class_uid = IMPLEMENTATION_CLASS_UID
        entity.implementation_version_name = IMPLEMENTATION_VERSION_NAME
        entity.maximum_pdu_size = negotiate.MAXIMUM_PDU
        entity.maximum_associations = self._policy.maximum_associations
        entity.require_called_aet = True
        entity.require_calling_aet = sorted(self._policy.callers)
        return _made_server(
            entity,
            (self._policy.host, self._policy.port),
            _SharingServer if self._policy.share_port else _Server,
            [
                (evt.EVT_CONN_OPEN, self._on_open),
                (evt.EVT_REQUESTED, self._on_requested),
                (evt.EVT_ACCEPTED, _on_accepted),
                (evt.EVT_REJECTED, _on_rejected),
                (evt.EVT_RELEASED, _on_released),
                (evt.EVT_ABORTED, _on_aborted),
                (evt.EVT_CONN_CLOSE, _on_closed),
                (evt.EVT_C_ECHO, _on_echo),
                (evt.EVT_C_STORE, self._on_store),
                (evt.EVT_N_EVENT_REPORT, self._on_event_report),
                (evt.EVT_N_ACTION, _on_action),
            ],
        )

    def _on_open(self, event: evt.Event) -> None:
        """Let half a PDU that its sender never ends, and an answer that nobody takes, end with an error.

        pynetdicom would wait for ever there, and every such connection would keep one of the associations from others.
        """
        transport = event.assoc.dul.socket
        if transport is not None and transport.socket is not None:
            seconds = self._policy.stall_seconds
            limit = struct.pack("ll", int(seconds), int(seconds % 1 * 1_000_000))
            transport.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
            transport.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)

    def _on_requested(self, event: evt.Event) -> None:
        # An empty list of calling AE titles lets everybody in (pynetdicom); here it lets nobody in.
        if not self._policy.callers:
            event.assoc.acse.send_reject(*_CALLING_NOT_RECOGNISED)
            evt.trigger(event.assoc, evt.EVT_REJECTED, {})
            event.assoc.kill()

    def _on_store(self, event: evt.Event) -> Dataset:
        """Answer a C-STORE; whatever happens, the status is one that we chose."""
        started = time.monotonic()
        sender = event.assoc.requestor.ae_title
        try:
            if sender not in self._policy.senders:
                raise Rejected(NOT_AUTHORISED)
            command = cast(C_STORE, event.request)
            if command.DataSet is None:
                raise Rejected(NOT_DICOM, "the request has no data set")
            with command.DataSet.getbuffer() as data:
                place = accept(_store_request(event, command), data, self._journal)
        except WalkError as error:
            # Busy and Transient are ours to mend, the others the sender's.
            level = logging.ERROR if isinstance(error, Busy | Transient) else logging.WARNING
            log.log(level, "object of %r refused: %s", sender, error)
            return status.refusal(error.reason)
        except Exception as error:  # noqa: BLE001  (the last resort: else pynetdicom answers 0xC211 for us)
            _log_defect("C-STORE", error)
            return status.refusal(LISTENER_FAILED)
        log.debug(
            "object of %r stored in %.1f ms: segment %d, %d bytes",
            sender, 1000 * (time.monotonic() - started), place.segment, place.length,
        )  # fmt: skip
        return status.answer(status.SUCCESS)

    def _on_event_report(self, event: evt.Event) -> tuple[Dataset, None]:
        """Answer a storage commitment report; one of an unknown transaction is kept and answered like any other."""
        sender = event.assoc.requestor.ae_title
        try:
            if event.event_type not in commitment.EVENTS:
                return status.answer(status.NO_SUCH_EVENT, "Storage commitment knows the events 1 and 2."), None
            reported = commitment.read_report(event.event_information)
            commitment.keep_report(
                reported,
                calling_ae=sender,
                called_ae=self._policy.ae_title,
                received_at=datetime.now(UTC),
                journal=self._journal,
            )
        except commitment.MalformedReportError as error:
            log.warning("commitment report of %r refused: %s", sender, error)
            return status.answer(status.INVALID_ARGUMENT, str(error)), None
        except WalkError as error:
            log.error("commitment report of %r refused: %s", sender, error)  # noqa: TRY400  (an expected refusal)
            return status.answer(status.RESOURCE_LIMITATION, error.reason.sentence), None
        except Exception as error:  # noqa: BLE001  (the last resort: else pynetdicom chooses the status)
            _log_defect("N-EVENT-REPORT", error)
            return status.answer(status.PROCESSING_FAILURE, LISTENER_FAILED.sentence), None
        log.info(
            "commitment report of %r: transaction %s, %d kept, %d not",
            sender, reported.transaction_uid, len(reported.committed), len(reported.failed),
        )  # fmt: skip
        return status.answer(status.SUCCESS), None


def run(settings: Settings, *, index: int, stop: threading.Event, ready: Callable[[], None]) -> None:
    """Listen until `stop` is set; `ready` is called once associations are accepted."""
    with Listener(negotiate.policy(settings), index=index) as listener:
        log.info("listening on port %d as %s", listener.port, settings.listener.ae_title)
        ready()
        stop.wait()
        log.info("stopping: no new associations")


def _made_server(
    entity: ApplicationEntity,
    address: tuple[str, int],
    kind: type[_Server],
    handlers: list[tuple[evt.EventType, Callable[[evt.Event], object]]],
) -> _Server:
    server = entity.make_server(
        address, evt_handlers=list(handlers), server_class=kind, contexts=negotiate.contexts()
    )
    if not isinstance(server, _Server):
        raise TypeError("pynetdicom made another server than asked for")
    return server


def _store_request(event: evt.Event, command: C_STORE) -> StoreRequest:
    return StoreRequest(
        calling_ae=event.assoc.requestor.ae_title,
        called_ae=event.assoc.acceptor.ae_title,
        sop_class_uid=str(command.AffectedSOPClassUID),
        sop_instance_uid=str(command.AffectedSOPInstanceUID),
        context_class_uid=str(event.context.abstract_syntax),
        transfer_syntax_uid=str(event.context.transfer_syntax),
        received_at=datetime.now(UTC),
    )


def _log_defect(request: str, error: Exception) -> None:
    # The message of a foreign exception may hold values of the data set, so only its kind and its way are logged.
    way = "".join(traceback.format_tb(error.__traceback__))
    log.error("%s: %s\n%s", request, type(error).__name__, way)


def _on_echo(event: evt.Event) -> int:
    log.debug("C-ECHO of %r", event.assoc.requestor.ae_title)
    return status.SUCCESS


def _on_action(event: evt.Event) -> tuple[Dataset, None]:
    log.warning("N-ACTION of %r refused", event.assoc.requestor.ae_title)
    return status.answer(status.UNRECOGNISED_OPERATION, "This AE asks for storage commitment, it does not give it."), None


def _on_accepted(event: evt.Event) -> None:
    requestor = event.assoc.requestor
    log.info(
        "association of %r from %s accepted, %d contexts, %d refused",
        requestor.ae_title, requestor.address, len(event.assoc.accepted_contexts), len(event.assoc.rejected_contexts),
    )  # fmt: skip


def _on_rejected(event: evt.Event) -> None:
    asked = cast(A_ASSOCIATE, event.assoc.requestor.primitive)
    log.warning(
        "association of %r from %s to %r rejected",
        asked.calling_ae_title, event.assoc.requestor.address, asked.called_ae_title,
    )  # fmt: skip


def _on_released(event: evt.Event) -> None:
    log.info("association of %r released", event.assoc.requestor.ae_title)


def _on_aborted(event: evt.Event) -> None:
    log.warning("association of %r aborted", event.assoc.requestor.ae_title)


def _on_closed(event: evt.Event) -> None:
    # A peer that connects and leaves without a request would hold its place among the associations for the whole ACSE
    # time-out; an empty primitive tells the waiting thread that none will come.
    if event.assoc.requestor.primitive is None and event.assoc.dul.to_user_queue.empty():
        event.assoc.dul.to_user_queue.put(None)

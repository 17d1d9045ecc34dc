"""A scripted destination on the loopback interface, a relay that goes silent, and objects to send."""

import hashlib
import io
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Any

import pydicom
import pytest
from pydicom import Dataset, FileMetaDataset
from pydicom.uid import Comprehensive3DSRStorage, ExplicitVRLittleEndian, SegmentationStorage
from pynetdicom import AE, evt
from pynetdicom.transport import ThreadedAssociationServer

from derm_pacs.delivery.interface import Destination
from derm_pacs.domain.composed import Composed, Form
from derm_pacs.domain.identifiers import derived_uid

COMMITMENT = "1.2.840.10008.1.20.1"
FIND = "1.2.840.10008.5.1.4.1.2.2.1"
VERIFICATION = "1.2.840.10008.1.1"
CLASS_OF = {
    Form.SEG: SegmentationStorage, Form.OVERLAY_SR: Comprehensive3DSRStorage, Form.REPORT_SR: Comprehensive3DSRStorage,
}


def an_object(form: Form, payload: int = 64) -> Composed:
    """A small file of the form's SOP class; what is in it is not looked at on the way."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = CLASS_OF[form], derived_uid(["test", form])
    dataset.SeriesInstanceUID, dataset.StudyInstanceUID = derived_uid(["series", form]), derived_uid(["study"])
    dataset.PatientName = "Zoë^Ätna"
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.PixelData = b"\x01" * payload
    dataset["PixelData"].VR = "OB"
    with io.BytesIO() as buffer:
        pydicom.dcmwrite(buffer, dataset, enforce_file_format=True)
        data = buffer.getvalue()
    return Composed(
        form=form, sop_class_uid=dataset.SOPClassUID, sop_instance_uid=dataset.SOPInstanceUID,
        series_instance_uid=dataset.SeriesInstanceUID, transfer_syntax_uid=ExplicitVRLittleEndian,
        sha256=hashlib.sha256(data).hexdigest(), about=(), data=data,
    )


@pytest.fixture
def objects() -> list[Composed]:
    return [an_object(Form.SEG), an_object(Form.OVERLAY_SR), an_object(Form.REPORT_SR)]


@dataclass
class Peer:
    """What a destination does; each test says what is odd about it."""

    storage: Sequence[str] = (SegmentationStorage, Comprehensive3DSRStorage)
    find: bool = True
    syntaxes: Sequence[str] = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2")
    commitment: bool = True
    handlers: list[Any] = field(default_factory=list)
    known: Sequence[str] = ("DERMPACS",)
    received: list[tuple[str, bytes]] = field(default_factory=list)
    """Transfer syntax and data set bytes of every object."""
    statuses: list[int] = field(default_factory=list)
    """Answers to the next C-STOREs; success when used up."""
    associations: int = 0

    def stored(self, event: evt.Event) -> int:
        status = self.statuses.pop(0) if self.statuses else 0x0000
        sent: Any = getattr(event.request, "DataSet", None)
        if status == 0x0000:
            self.received.append((str(event.context.transfer_syntax), sent.getvalue()))
        return status

    def counted(self, _event: evt.Event) -> None:
        self.associations += 1

    def start(self) -> ThreadedAssociationServer:
        entity = AE(ae_title="PEER")
        entity.require_calling_aet = list(self.known)
        entity.add_supported_context(VERIFICATION)
        for sop_class in self.storage:
            entity.add_supported_context(sop_class, list(self.syntaxes))
        if self.commitment:
            entity.add_supported_context(COMMITMENT)
        if self.find:
            entity.add_supported_context(FIND)
        named = {kind for kind, *_ in self.handlers}
        handlers = [*self.handlers, (evt.EVT_REQUESTED, self.counted)]
        if evt.EVT_C_STORE not in named:
            handlers.append((evt.EVT_C_STORE, self.stored))
        server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
        assert isinstance(server, ThreadedAssociationServer)
        return server


@dataclass
class Place:
    """Starts peers and relays, and names them as destinations with short patience."""

    stack: ExitStack

    def of(self, peer: Peer, seconds: float = 10.0) -> Destination:
        server = peer.start()
        self.stack.callback(server.shutdown)
        return self.at(server.server_address[1], seconds)

    def at(self, port: int, seconds: float = 1.0) -> Destination:
        return Destination(
            name="pacs", ae_title="PEER", host="127.0.0.1", port=port, calling_ae="DERMPACS",
            connect_seconds=seconds, answer_seconds=seconds, store_seconds=seconds,
        )

    def silent(self) -> Destination:
        """Takes the TCP connection and never says a word."""
        listening = self.stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        return self.at(listening.getsockname()[1])

    def stammering(self, said: bytes) -> Destination:
        """Answers the association request with these bytes and goes silent."""
        listening = self.stack.enter_context(socket.create_server(("127.0.0.1", 0)))

        def answer() -> None:
            with suppress(OSError):
                connection, _ = listening.accept()
                self.stack.callback(connection.close)
                connection.recv(4096)
                connection.sendall(said)

        threading.Thread(target=answer, daemon=True).start()
        return self.at(listening.getsockname()[1])

    def behind_relay(self, destination: Destination, falls_silent_at: Callable[[bytes], bool]) -> Destination:
        """The same peer behind a relay that stops reading when the predicate says so of a block on its way there."""
        relay = Relay(destination.port, falls_silent_at)
        self.stack.callback(relay.close)
        return self.at(relay.port)


class Relay:
    """Passes bytes both ways until it falls silent; the connections stay open then."""

    def __init__(self, port: int, falls_silent_at: Callable[[bytes], bool]) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = []
        self._target = port
        self._falls_silent_at = falls_silent_at
        self.port = int(self._listening.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        try:
            near, _ = self._listening.accept()
        except OSError:
            return
        far = socket.create_connection(("127.0.0.1", self._target))
        self._sockets += [near, far]
        threading.Thread(target=self._pump, args=(near, far, self._falls_silent_at), daemon=True).start()
        threading.Thread(target=self._pump, args=(far, near, lambda _block: False), daemon=True).start()

    @staticmethod
    def _pump(one: socket.socket, other: socket.socket, falls_silent_at: Callable[[bytes], bool]) -> None:
        try:
            while (block := one.recv(4096)) and not falls_silent_at(block):
                other.sendall(block)
        except OSError:
            return

    def close(self) -> None:
        self._listening.close()
        for one in self._sockets:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)  # a close alone leaves a thread that reads, and the peer, waiting
            one.close()


@pytest.fixture
def place() -> Iterator[Place]:
    with ExitStack() as stack:
        yield Place(stack)


@pytest.fixture
def make_peer() -> type[Peer]:
    return Peer


@pytest.fixture
def make_object() -> Callable[..., Composed]:
    return an_object

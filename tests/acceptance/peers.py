"""Destinations on the loopback interface, each odd in its own way, as hospitals have them."""

import io
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import pydicom
from pydicom import Dataset
from pynetdicom import AE, evt

from tests.delivery.web_peer import Reply, Request, serving, stored, told

COMMITMENT = "1.2.840.10008.1.20.1"
FIND = "1.2.840.10008.5.1.4.1.2.2.1"
NATIVE = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2")

SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"
CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
SR_3D = "1.2.840.10008.5.1.4.1.1.88.34"
SR_2D = "1.2.840.10008.5.1.4.1.1.88.33"
EVERYTHING = (SEGMENTATION, CAPTURE, SR_3D, SR_2D)


@dataclass
class Pacs:
    """A DICOM archive; every field is something that archives differ in."""

    takes: Sequence[str] = EVERYTHING
    commits: bool = True
    reports: bool = True
    """Whether it ever reports on a commitment that it was asked for."""
    answers_queries: bool = True
    lists: Callable[[str], bool] = lambda _uid: True
    """Whether a query shows an object that is stored."""
    status: Callable[[], int] = lambda: 0x0000
    """What the next C-STORE is answered with."""
    hangs_at: Callable[[int], bool] = lambda _number: False
    """Whether the C-STORE of that number (1-based, over all associations) is never answered."""
    objects: dict[str, bytes] = field(default_factory=dict)
    """Part 10 bytes of what is stored, by SOP Instance UID."""
    stores: int = 0
    port: int = 0
    _over: threading.Event = field(default_factory=threading.Event)
    _server: Any = None

    def __enter__(self) -> Self:
        """Listen."""
        self.open()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Listen no more."""
        self.close()

    def open(self) -> None:
        """Listen with what it takes now, on the port that it had."""
        self._over.clear()
        entity = AE(ae_title="PEER")
        for sop_class in self.takes:
            entity.add_supported_context(sop_class, list(NATIVE))
        if self.commits:
            entity.add_supported_context(COMMITMENT)
        if self.answers_queries:
            entity.add_supported_context(FIND)
        if not entity.supported_contexts:
            entity.add_supported_context("1.2.840.10008.1.1")
        self._server = entity.start_server(
            ("127.0.0.1", self.port), block=False,
            evt_handlers=[
                (evt.EVT_C_STORE, self._store), (evt.EVT_N_ACTION, self._commit), (evt.EVT_C_FIND, self._find),
            ],
        )
        self.port = self._server.server_address[1]

    def close(self) -> None:
        """Listen no more."""
        self._over.set()
        self._server.shutdown()

    def forms(self) -> list[tuple[str, str]]:
        """Return (SOP class, modality) of what is stored, sorted."""
        return sorted((str(one.SOPClassUID), str(one.Modality)) for one in self.datasets())

    def datasets(self) -> list[Dataset]:
        """Return what is stored."""
        return [pydicom.dcmread(io.BytesIO(data)) for data in self.objects.values()]

    def _store(self, event: evt.Event) -> int:
        self.stores += 1
        if self.hangs_at(self.stores):
            self._over.wait(60)
            return 0xC000
        status = self.status()
        if status == 0x0000:
            data = event.encoded_dataset()
            self.objects[str(event.file_meta.MediaStorageSOPInstanceUID)] = data
        return status

    def _commit(self, event: evt.Event) -> tuple[int, None]:
        if not self.reports:
            return 0x0000, None
        asked = event.action_information
        report = Dataset()
        report.TransactionUID = asked.TransactionUID
        report.ReferencedSOPSequence = [
            one for one in asked.ReferencedSOPSequence if str(one.ReferencedSOPInstanceUID) in self.objects
        ]
        failed = [one for one in asked.ReferencedSOPSequence if str(one.ReferencedSOPInstanceUID) not in self.objects]
        for one in failed:
            one.FailureReason = 0x0112
        if failed:
            report.FailedSOPSequence = failed
        threading.Thread(target=_tell, args=(event.assoc, report, 2 if failed else 1), daemon=True).start()
        return 0x0000, None

    def _find(self, event: evt.Event):  # type: ignore[no-untyped-def]
        asked = event.identifier
        for one in self.datasets():
            if str(one.SeriesInstanceUID) == asked.SeriesInstanceUID and self.lists(str(one.SOPInstanceUID)):
                found = Dataset()
                found.QueryRetrieveLevel = "IMAGE"
                found.StudyInstanceUID, found.SeriesInstanceUID = one.StudyInstanceUID, one.SeriesInstanceUID
                found.SOPInstanceUID = one.SOPInstanceUID
                yield 0xFF00, found


def _tell(association: Any, report: Dataset, event_type: int) -> None:
    association.send_n_event_report(report, event_type, COMMITMENT, f"{COMMITMENT}.1")


@dataclass
class WebArchive:
    """A DICOMweb archive: STOW-RS and QIDO-RS."""

    objects: dict[str, bytes] = field(default_factory=dict)
    port: int = 0
    _stack: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Self:
        """Listen."""
        self.port = self._stack.enter_context(serving(self._answer)).port
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Listen no more."""
        self._stack.close()

    def _answer(self, request: Request) -> Reply:
        if request.method == "POST":
            parts = {str(pydicom.dcmread(io.BytesIO(one)).SOPInstanceUID): one for one in request.parts()}
            self.objects |= parts
            return stored(*parts)
        series = request.path.split("/")[-2]
        found = [pydicom.dcmread(io.BytesIO(one)) for one in self.objects.values()]
        return told([
            {"00080018": {"vr": "UI", "Value": [str(one.SOPInstanceUID)]}} for one in found if str(one.SeriesInstanceUID) == series
        ])


@dataclass
class RecordSystem:
    """A record system that takes HL7 v2 messages over MLLP and acknowledges each with a code."""

    code: Callable[[], str] = lambda: "AA"
    messages: list[bytes] = field(default_factory=list)
    port: int = 0
    _listening: socket.socket | None = None

    def __enter__(self) -> Self:
        """Listen."""
        self._listening = socket.create_server(("127.0.0.1", self.port))
        self.port = int(self._listening.getsockname()[1])
        threading.Thread(target=self._serve, args=(self._listening,), daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Listen no more."""
        if self._listening is not None:
            self._listening.shutdown(socket.SHUT_RDWR)
            self._listening.close()

    def _serve(self, listening: socket.socket) -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection:
                self._converse(connection)

    def _converse(self, connection: socket.socket) -> None:
        waiting = b""
        while block := connection.recv(65536):
            waiting += block
            while b"\x1c\r" in waiting:
                framed, _, waiting = waiting.partition(b"\x1c\r")
                message = framed.lstrip(b"\x0b")
                code = self.code()
                if code == "AA":
                    self.messages.append(message)
                control_id = message.split(b"\r")[0].split(b"|")[9]
                answer = b"MSH|^~\\&|R|R|D|D|20260301100000||ACK^R01^ACK|1|P|2.5.1\rMSA|%s|%s\r" % (code.encode(), control_id)
                connection.sendall(b"\x0b" + answer + b"\x1c\r")

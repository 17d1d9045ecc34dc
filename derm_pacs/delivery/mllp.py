"""HL7 v2 over MLLP as sender: one message at a time, each acknowledged before the next (MLLP release 1).

Acknowledgements by HL7 v2.5.1 section 2.9.2, original mode: accepted (AA, CA) is done; refused (AE, AR, CE, CR) is for
good unless the coded error (ERR-3, table 0357) says that the application was locked or failed inside. Whatever else
happens is tried again with the same bytes, so the receiver knows the message by its control identifier (MSH-10).
The free texts of an acknowledgement are not repeated: they may name the patient.
"""

import re
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from derm_pacs.delivery.interface import RecordDestination
from derm_pacs.domain.composed import Composed
from derm_pacs.domain.errors import Busy, Rejected, Transient
from derm_pacs.domain.reasons import CERTIFICATE_UNTRUSTED, OBJECT_REFUSED, PEER_AWAY, PEER_BUSY

OnStored = Callable[[str, int], None]

START, END = b"\x0b", b"\x1c"
"""Bytes around a message; a carriage return follows the second."""
MOST_BYTES = 1_000_000
"""Size of an acknowledgement beyond which it is not read."""
_BLOCK = 65536
_WHOLE = re.compile(rb"\x0b([^\x1c]*)\x1c")

_ACCEPTED = frozenset({"AA", "CA"})
_REFUSED = frozenset({"AE", "AR", "CE", "CR"})
_AGAIN = frozenset({"206", "207"})
"""Application record locked, application internal error: nothing is said against the message."""
_CODE, _PLACE = re.compile(r"[0-9]{1,5}"), re.compile(r"[A-Z][A-Z0-9]{2}(\^[0-9]{1,3}){0,5}")
"""What of an ERR segment can name no patient: a number, and a segment with numbers of fields."""
_RECEIVING_APPLICATION, _RECEIVING_FACILITY, _CONTROL_ID = 4, 5, 9
"""Indexes of MSH-5, MSH-6 and MSH-10 between the bars, of which the first is MSH-1 itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledgement:
    """What an acknowledgement says, without its free texts."""

    code: str
    """MSA-1."""
    control_id: str
    """MSA-2."""
    errors: tuple[tuple[str, str], ...]
    """Coded error (ERR-3.1, else ERR-1.4 or MSA-6.1) and place (ERR-2, else ERR-1), empty where none is told."""


def send(destination: RecordDestination, objects: Sequence[Composed], on_stored: OnStored) -> None:
    """Send the messages in their order; `on_stored(sop_instance_uid, 0)` is called after each that was accepted.

    Raises `Transient` (PEER_AWAY, CERTIFICATE_UNTRUSTED) or `Busy` (PEER_BUSY) at the first message at which the peer
    is lost, answers what is no acknowledgement of it, or says that it cannot now. Raises `Rejected` (OBJECT_REFUSED)
    after all messages were tried, naming those that were refused.
    """
    if not objects:
        return
    refused: list[str] = []
    with _connected(destination) as connection:
        for one in objects:
            message = addressed(one.data, destination)
            with _translated(destination):
                answer = _exchange(connection, message, destination)
            if answer.code in _ACCEPTED:
                on_stored(one.sop_instance_uid, 0)
                continue
            said = f"message {answer.control_id} with {_said(answer)}"
            if any(code in _AGAIN for code, _ in answer.errors):
                raise Busy(PEER_BUSY, f"{where(destination)}: {said}")
            refused.append(said)
    if refused:
        raise Rejected(OBJECT_REFUSED, f"{where(destination)}: {'; '.join(refused)}")


def reach(destination: RecordDestination) -> None:
    """Connect and send nothing; raises `Transient` (PEER_AWAY, CERTIFICATE_UNTRUSTED) where that fails."""
    with _connected(destination):
        return


def where(destination: RecordDestination) -> str:
    """Name a destination for an error's detail."""
    return f"{destination.name}: {destination.host}:{destination.port}"


def addressed(data: bytes, destination: RecordDestination) -> bytes:
    """Return a message with its receiver (MSH-5, MSH-6) written in; carets of the settings separate components."""
    header, rest = data.split(b"\r", 1)
    fields = header.split(b"|")
    fields[_RECEIVING_APPLICATION] = _receiver(destination.application)
    fields[_RECEIVING_FACILITY] = _receiver(destination.facility)
    return b"|".join(fields) + b"\r" + rest


def _receiver(name: str) -> bytes:
    escapes = {"\\": "\\E\\", "|": "\\F\\", "~": "\\R\\", "&": "\\T\\"}
    return "".join(escapes.get(character, character) for character in name).encode("utf-8")


@contextmanager
def _connected(destination: RecordDestination) -> Iterator[socket.socket]:
    """Connect, by TLS where the destination wants it."""
    with _translated(destination):
        connection = socket.create_connection((destination.host, destination.port), destination.connect_seconds)
    with connection:
        if not destination.tls:
            yield connection
            return
        with _translated(destination):
            encrypted = _context(destination).wrap_socket(connection, server_hostname=destination.host)
        with encrypted:
            yield encrypted


@contextmanager
def _translated(destination: RecordDestination) -> Iterator[None]:
    """Turn what the socket raises into our errors."""
    try:
        yield
    except ssl.SSLCertVerificationError as error:
        raise Transient(CERTIFICATE_UNTRUSTED, f"{where(destination)}: {error.verify_message}") from error
    except OSError as error:
        raise Transient(PEER_AWAY, f"{where(destination)}: {error.strerror or error or type(error).__name__}") from error


def _context(destination: RecordDestination) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=destination.ca_file)
    except OSError as error:
        raise Transient(CERTIFICATE_UNTRUSTED, f"{where(destination)}: {destination.ca_file} cannot be read") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _exchange(connection: socket.socket, message: bytes, destination: RecordDestination) -> Acknowledgement:
    """Send one message and return its acknowledgement."""
    connection.settimeout(destination.answer_seconds)
    connection.sendall(START + message + END + b"\r")
    answer = acknowledgement(_received(connection, destination))
    ours = message.split(b"\r", 1)[0].split(b"|")[_CONTROL_ID].decode("ascii")
    if answer is None or answer.code not in _ACCEPTED | _REFUSED:
        raise Transient(PEER_AWAY, f"{where(destination)}: what it answers to message {ours} is no acknowledgement")
    if answer.control_id != ours:
        raise Transient(PEER_AWAY, f"{where(destination)}: it acknowledges another message than {ours}")
    return answer


def _received(connection: socket.socket, destination: RecordDestination) -> bytes:
    """Return the bytes of one block; the time counts until it is whole."""
    last = time.monotonic() + destination.answer_seconds
    received = bytearray()
    while (whole := _WHOLE.search(received)) is None:
        left = last - time.monotonic()
        if left <= 0 or len(received) > MOST_BYTES:
            raise TimeoutError(f"no whole acknowledgement in {destination.answer_seconds:g} s and {MOST_BYTES} bytes")
        connection.settimeout(left)
        block = connection.recv(_BLOCK)
        if not block:
            raise Transient(PEER_AWAY, f"{where(destination)}: it closed the connection without acknowledgement")
        received += block
    return bytes(whole[1])


def acknowledgement(block: bytes) -> Acknowledgement | None:
    """Read an acknowledgement, in whatever version it is; None where it is none."""
    lines = [line for line in re.split(r"[\r\n]+", block.decode("utf-8", errors="replace")) if line]
    if not lines or not lines[0].startswith("MSH") or len(lines[0]) < 5:
        return None
    bar, caret = lines[0][3], lines[0][4]
    segments = [line.split(bar) for line in lines]
    answers = [one for one in segments if one[0] == "MSA"]
    if len(answers) != 1:
        return None
    errors = [_error(one, caret) for one in segments if one[0] == "ERR"]
    older = _matching(_CODE, _at(answers[0], 6).split(caret)[0])
    return Acknowledgement(
        code=_at(answers[0], 1).strip(), control_id=_at(answers[0], 2).strip(),
        errors=(*errors, *([(older, "")] if older else [])),
    )


def _error(segment: list[str], caret: str) -> tuple[str, str]:
    older = _at(segment, 1).split(caret)  # ELD of versions before 2.5: segment, sequence, field, coded error
    code = _at(segment, 3).split(caret)[0] or (older[3] if len(older) > 3 else "")
    place = _at(segment, 2) or caret.join(older[:3])
    return _matching(_CODE, code.strip()), _matching(_PLACE, place.strip().replace(caret, "^"))


def _matching(pattern: re.Pattern[str], text: str) -> str:
    return text if pattern.fullmatch(text) else ""


def _at(segment: Sequence[str], number: int) -> str:
    return segment[number] if number < len(segment) else ""


def _said(answer: Acknowledgement) -> str:
    """Return the acknowledgement code with the coded errors, and where to read the rest."""
    errors = [f"error {code or 'without code'}" + (f" at {place}" if place else "") for code, place in answer.errors]
    return ", ".join([answer.code, *errors]) + " (its text stands in the destination's log)"

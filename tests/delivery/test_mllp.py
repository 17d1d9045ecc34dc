"""Messages over MLLP, to a scripted record system on the loopback interface: it accepts, refuses, hangs, stammers."""

import hashlib
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from derm_pacs.delivery import mllp
from derm_pacs.delivery.interface import RecordDestination
from derm_pacs.domain.composed import Composed, Form
from derm_pacs.domain.errors import Busy, Rejected, Transient

Answer = Callable[[str], bytes | None]
"""Gives the bytes for a control identifier; None closes the connection without a word."""


def a_message(number: int = 1) -> Composed:
    data = (
        f"MSH|^~\\&|derm-pacs|Klinik|||20261121093015+0100||ORU^R01^ORU_R01|CONTROL{number}|P|2.5.1||||||UNICODE UTF-8\r"
        "PID|1||P-1||Müster^Erika\rOBR|1||A1|18748-4^Report^LN\rOBX|1|TX|121106^Comment^DCM|0|AI result||||||P\r"
    ).encode()
    return Composed(
        form=Form.MESSAGE, sop_class_uid="", sop_instance_uid=f"2.25.{number}", series_instance_uid="", transfer_syntax_uid="",
        sha256=hashlib.sha256(data).hexdigest(), about=(), data=data,
    )


def acknowledged(code: str, *segments: str, control_id: str | None = None, version: str = "2.5.1") -> Answer:
    def answer(ours: str) -> bytes:
        lines = [f"MSH|^~\\&|REC|H|derm-pacs|Klinik|20261121||ACK|1|P|{version}", f"MSA|{code}|{ours if control_id is None else control_id}", *segments]
        return b"\x0b" + "\r".join(lines).encode() + b"\r\x1c\r"

    return answer


def raw(said: bytes) -> Answer:
    return lambda _: said


@dataclass
class RecordSystem:
    """A record system that answers the next messages as it is told, then accepts."""

    answers: list[Answer] = field(default_factory=list)
    received: list[bytes] = field(default_factory=list)
    connections: int = 0
    encrypted: ssl.SSLContext | None = None
    reads: bool = True
    hangs: threading.Event = field(default_factory=threading.Event)
    """Set at the end, so that what hangs does not outlive the test."""

    def __post_init__(self) -> None:
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    @property
    def destination(self) -> RecordDestination:
        return RecordDestination(
            name="record", host="127.0.0.1", port=self.listening.getsockname()[1], application="KIS", facility="HAUS",
            connect_seconds=5.0, answer_seconds=5.0,
        )

    def close(self) -> None:
        self.hangs.set()
        with suppress(OSError):
            self.listening.shutdown(socket.SHUT_RDWR)
        self.listening.close()
        self.thread.join(10)
        assert not self.thread.is_alive()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self.listening.accept()
                self.connections += 1
                with suppress(OSError), connection:
                    self._talk(self.encrypted.wrap_socket(connection, server_side=True) if self.encrypted else connection)

    def _talk(self, connection: socket.socket) -> None:
        if not self.reads:
            self.hangs.wait(30)
            return
        buffer = b""
        with connection:
            while block := connection.recv(65536):
                buffer += block
                while b"\x1c\r" in buffer:
                    message, buffer = buffer.split(b"\x1c\r", 1)
                    assert message.startswith(b"\x0b")
                    self.received.append(message[1:])
                    said = (self.answers.pop(0) if self.answers else acknowledged("AA"))(control_id_of(message[1:]))
                    if said is None:
                        return
                    connection.sendall(said)


def control_id_of(message: bytes) -> str:
    return message.split(b"|")[9].decode()


@pytest.fixture
def system() -> Iterator[RecordSystem]:
    made = RecordSystem()
    yield made
    made.close()


def sent(destination: RecordDestination, *messages: Composed) -> list[tuple[str, int]]:
    stored: list[tuple[str, int]] = []
    mllp.send(destination, messages or [a_message()], lambda uid, status: stored.append((uid, status)))
    return stored


@pytest.mark.parametrize("code", ["AA", "CA"])
def test_an_accepted_message_is_delivered(system: RecordSystem, code: str) -> None:
    system.answers = [acknowledged(code)]
    assert sent(system.destination) == [("2.25.1", 0)]


def test_the_message_arrives_as_it_was_composed_but_for_its_receiver(system: RecordSystem) -> None:
    sent(system.destination)
    assert system.received == [a_message().data.replace(b"Klinik|||", b"Klinik|KIS|HAUS|")]


def test_a_receiver_may_have_components_and_cannot_break_the_header(system: RecordSystem) -> None:
    sent(replace(system.destination, application="KIS^1.2.3^ISO", facility="A|B&C~D\\E"))
    assert system.received[0].split(b"|")[4:6] == [b"KIS^1.2.3^ISO", b"A\\F\\B\\T\\C\\R\\D\\E\\E"]


def test_several_messages_go_one_after_the_other_over_one_connection(system: RecordSystem) -> None:
    assert sent(system.destination, a_message(1), a_message(2)) == [("2.25.1", 0), ("2.25.2", 0)]
    assert system.connections == 1


def test_nothing_to_send_opens_no_connection(system: RecordSystem) -> None:
    mllp.send(system.destination, [], lambda uid, status: None)
    assert system.connections == 0


@pytest.mark.parametrize("code", ["AE", "AR", "CE", "CR"])
def test_a_refused_message_is_refused_for_good_and_keeps_no_other_back(system: RecordSystem, code: str) -> None:
    system.answers = [acknowledged(code)]
    stored: list[str] = []
    with pytest.raises(Rejected, match=f"record: 127.0.0.1:.*CONTROL1 with {code}") as refused:
        mllp.send(system.destination, [a_message(1), a_message(2)], lambda uid, _: stored.append(uid))
    assert refused.value.reason.code == "object_refused"
    assert stored == ["2.25.2"]


@pytest.mark.parametrize(
    ("segments", "said"),
    [
        (["ERR||PID^1^3|204^Unknown key identifier^HL70357|E||||no Erika Müster, P-1"], "error 204 at PID^1^3"),
        (["ERR|PID^1^5^101&Required field missing"], "error without code at PID^1^5"),
        (["ERR|PID^1^5^101"], "error 101 at PID^1^5"),
        (["ERR||Erika Müster|P-1 Müster|E"], "error without code"),
        (["ERR"], "error without code"),
    ],
)  # fmt: skip
def test_of_a_refusal_codes_and_places_are_told_and_never_its_text(system: RecordSystem, segments: list[str], said: str) -> None:
    system.answers = [acknowledged("AE", *segments)]
    with pytest.raises(Rejected) as refused:
        sent(system.destination)
    assert said in str(refused.value)
    assert not any(word in str(refused.value) for word in ("Erika", "Müster", "P-1"))


def test_the_text_beside_the_code_is_not_repeated_either(system: RecordSystem) -> None:
    system.answers = [lambda ours: acknowledged("AR", control_id=f"{ours}|Erika Müster unknown|||102^Erika")(ours)]
    with pytest.raises(Rejected) as refused:
        sent(system.destination)
    assert "error 102" in str(refused.value)
    assert "Erika" not in str(refused.value)


@pytest.mark.parametrize("error", ["206", "207"])
@pytest.mark.parametrize("code", ["AE", "AR"])
def test_a_locked_or_failing_application_is_asked_again_later(system: RecordSystem, code: str, error: str) -> None:
    system.answers = [acknowledged(code, f"ERR|||{error}^Application internal error^HL70357|E")]
    with pytest.raises(Busy, match=f"error {error}"):
        sent(system.destination)
    assert sent(system.destination) == [("2.25.1", 0)]
    assert len(set(system.received)) == 1


ODD = {
    "another control identifier": acknowledged("AA", control_id="CONTROL9"),
    "no control identifier": acknowledged("AA", control_id=""),
    "an unknown code": acknowledged("XX"),
    "no MSA": raw(b"\x0bMSH|^~\\&|REC\r\x1c\r"),
    "two MSA": acknowledged("AA", "MSA|AA|CONTROL1"),
    "an empty block": raw(b"\x0b\x1c\r"),
    "half a header": raw(b"\x0bMSH\x1c\r"),
    "no HL7": raw(b"\x0bHTTP/1.1 400 Bad Request\x1c\r"),
    "bytes": raw(b"\x0b\xff\xfe\x00\x80\x1c\r"),
    "our own message": raw(b"\x0b" + a_message().data + b"\x1c\r"),
}


@pytest.mark.parametrize("answer", ODD.values(), ids=ODD.keys())
def test_an_answer_that_does_not_acknowledge_the_message_proves_nothing_and_it_is_sent_again(
    system: RecordSystem, answer: Answer
) -> None:
    system.answers = [answer]
    with pytest.raises(Transient) as away:
        sent(system.destination)
    assert away.value.reason.code == "peer_away"
    assert "Erika" not in str(away.value)
    assert sent(system.destination) == [("2.25.1", 0)]
    assert len(system.received) == 2
    assert len(set(system.received)) == 1


@given(st.binary(max_size=200))
def test_no_bytes_of_a_peer_are_taken_for_an_acknowledgement_by_an_error_of_ours(block: bytes) -> None:
    read = mllp.acknowledgement(block)
    assert read is None or isinstance(read.code, str)


@pytest.mark.parametrize(
    ("lead", "end"), [(b"", b"\x1c"), (b"\r\n", b"\x1c\r"), (b"", b"\x1c\r\n")], ids=["without return", "after an empty line", "with a line feed"]
)  # fmt: skip
def test_small_liberties_of_framing_are_taken_as_they_are_meant(system: RecordSystem, lead: bytes, end: bytes) -> None:
    system.answers = [raw(lead + b"\x0bMSH|^~\\&|REC\nMSA|AA|CONTROL1\n" + end)]
    assert sent(system.destination) == [("2.25.1", 0)]


def test_an_acknowledgement_of_an_older_version_with_other_delimiters_is_read(system: RecordSystem) -> None:
    system.answers = [raw(b"\x0bMSH#*~\\&#REC###20261121##ACK#1#P#2.3\rMSA#AE#CONTROL1##\rERR#OBX*3*5*102\r\x1c\r")]
    with pytest.raises(Rejected, match=r"AE, error 102 at OBX\^3\^5"):
        sent(system.destination)


def test_a_peer_that_never_answers_is_left_after_the_time_for_answers(system: RecordSystem) -> None:
    system.answers = [raw(b"")]
    with pytest.raises(Transient, match=r"no whole acknowledgement|timed out"):
        sent(replace(system.destination, answer_seconds=0.3))


def test_half_an_answer_is_none(system: RecordSystem) -> None:
    system.answers = [raw(b"\x0bMSH|^~\\&|REC\rMSA|AA|CONTROL1\r")]
    with pytest.raises(Transient, match=r"no whole acknowledgement|timed out"):
        sent(replace(system.destination, answer_seconds=0.3))


def test_a_peer_that_answers_drop_by_drop_is_left_too(system: RecordSystem) -> None:
    stop = threading.Event()

    def drip() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            ports.append(listening.getsockname()[1])
            ready.set()
            connection, _ = listening.accept()
            with suppress(OSError), connection:
                while not stop.wait(0.05):
                    connection.sendall(b"x")

    ports: list[int] = []
    ready = threading.Event()
    thread = threading.Thread(target=drip)
    thread.start()
    ready.wait(5)
    try:
        with pytest.raises(Transient, match=r"no whole acknowledgement|timed out"):
            sent(replace(system.destination, port=ports[0], answer_seconds=0.4))
    finally:
        stop.set()
        thread.join(5)


def test_an_endless_answer_is_not_read_to_the_end(system: RecordSystem) -> None:
    system.answers = [raw(b"\x0b" + b"x" * (mllp.MOST_BYTES + 200_000))]
    with pytest.raises(Transient):
        sent(system.destination)


def test_a_closed_connection_is_no_acknowledgement(system: RecordSystem) -> None:
    system.answers = [lambda _: None]
    with pytest.raises(Transient, match="closed the connection"):
        sent(system.destination)


def test_a_peer_that_takes_nothing_off_our_hands_is_left(system: RecordSystem) -> None:
    system.reads = False
    large = replace(a_message(), data=a_message().data + b"OBX|" + b"x" * 40_000_000 + b"\r")
    with pytest.raises(Transient):
        sent(replace(system.destination, answer_seconds=0.5), large)


def test_where_nobody_listens_it_is_tried_again(system: RecordSystem) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(Transient, match="Connection refused"):
        sent(replace(system.destination, port=port))


def test_what_was_accepted_before_the_peer_was_lost_is_told(system: RecordSystem) -> None:
    system.answers = [acknowledged("AA"), lambda _: None]
    stored: list[str] = []
    with pytest.raises(Transient):
        mllp.send(system.destination, [a_message(1), a_message(2)], lambda uid, _: stored.append(uid))
    assert stored == ["2.25.1"]


def test_an_error_of_the_one_who_is_told_is_not_taken_for_the_peers(system: RecordSystem) -> None:
    def full(uid: str, status: int) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        mllp.send(system.destination, [a_message()], full)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate and key for 127.0.0.1, in one file, signed by itself."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is missing: TLS is left out")
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=record",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(folder / "key"), "-out", str(folder / "cert")],
        check=True, capture_output=True,
    )  # fmt: skip
    both = folder / "both.pem"
    both.write_bytes((folder / "key").read_bytes() + (folder / "cert").read_bytes())
    return both


@pytest.fixture
def encrypted(certificate: Path) -> Iterator[RecordSystem]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    made = RecordSystem(encrypted=context)
    yield made
    made.close()


def test_with_tls_the_message_goes_encrypted_to_whom_the_certificate_names(encrypted: RecordSystem, certificate: Path) -> None:
    assert sent(replace(encrypted.destination, tls=True, ca_file=certificate)) == [("2.25.1", 0)]


def test_a_certificate_that_is_not_trusted_gets_no_message(encrypted: RecordSystem) -> None:
    with pytest.raises(Transient) as untrusted:
        sent(replace(encrypted.destination, tls=True))
    assert untrusted.value.reason.code == "certificate_untrusted"
    assert encrypted.received == []


def test_a_certificate_of_another_host_gets_no_message(encrypted: RecordSystem, certificate: Path) -> None:
    with pytest.raises(Transient) as untrusted:
        sent(replace(encrypted.destination, host="localhost", tls=True, ca_file=certificate))
    assert untrusted.value.reason.code == "certificate_untrusted"
    assert encrypted.received == []


def test_a_file_of_certificates_that_is_missing_is_named(encrypted: RecordSystem, tmp_path: Path) -> None:
    with pytest.raises(Transient, match=r"absent\.pem cannot be read"):
        sent(replace(encrypted.destination, tls=True, ca_file=tmp_path / "absent.pem"))


def test_a_peer_without_tls_gets_no_message_where_tls_is_wanted(system: RecordSystem, certificate: Path) -> None:
    system.reads = False
    with pytest.raises(Transient):
        sent(replace(system.destination, tls=True, ca_file=certificate, connect_seconds=0.5))
    assert system.received == []

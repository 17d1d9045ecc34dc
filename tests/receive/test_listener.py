"""The listener over real sockets: what is acknowledged is in the spool, what is refused says why, and it goes on."""

import errno
import logging
import os
import socket
import time
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from derm_pacs.domain import classes
from derm_pacs.receive.listener import Listener
from derm_pacs.spool.read import payload

pytestmark = pytest.mark.server

DERMOSCOPIC = "1.2.840.10008.5.1.4.1.1.77.1.7"
SECONDARY = "1.2.840.10008.5.1.4.1.1.7"
EXPLICIT = "1.2.840.10008.1.2.1"
MakeDataset = Callable[..., Dataset]
Encode = Callable[..., bytes]
Store = Callable[..., Dataset]
Bench = Any  # the class of tests/receive/conftest.py, which tests do not import


def test_a_stored_object_is_in_the_spool_byte_for_byte(
    bench: Bench, listener: Listener, dataset: MakeDataset, encoded: Encode, store: Store
) -> None:
    data = encoded(dataset())
    association = bench.associate(listener)
    assert store(association, data).Status == 0x0000
    (record,) = bench.spooled()
    assert bench.data_set_bytes(record) == data
    assert (record.header.calling_ae, record.header.called_ae) == ("SENDER", "DERMPACS")


@pytest.mark.parametrize("syntax", classes.TRANSFER_SYNTAXES, ids=lambda one: one.uid)
def test_every_transfer_syntax_is_negotiated_and_its_bytes_kept(
    bench: Bench, listener: Listener, dataset: MakeDataset, encoded: Encode, store: Store, syntax: classes.TransferSyntax
) -> None:
    data = encoded(
        dataset(),
        implicit=syntax.uid == classes.IMPLICIT_LITTLE_ENDIAN,
        little=syntax.uid != classes.EXPLICIT_BIG_ENDIAN,
    )
    if syntax.uid == classes.DEFLATED:
        compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        data = compressor.compress(data) + compressor.flush()
    association = bench.associate(listener, syntaxes=(syntax.uid,))
    assert association.accepted_contexts[0].transfer_syntax == [syntax.uid]
    assert store(association, data).Status == 0x0000
    (record,) = bench.spooled()
    assert record.header.transfer_syntax_uid == syntax.uid
    assert bench.data_set_bytes(record) == data
    assert syntax.uid.encode() in payload(bench.policy.spool_dir, record.place)[:400]


def test_every_class_of_the_table_is_accepted_and_others_are_not(bench: Bench, listener: Listener) -> None:
    offered = tuple(one.uid for one in (*classes.ANALYSABLE, *classes.EVIDENCE))
    foreign = ("1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.77.1.4.1")
    association = bench.associate(listener, classes=(*offered, *foreign))
    assert {one.abstract_syntax for one in association.accepted_contexts} == set(offered)


def test_video_and_unknown_syntaxes_are_refused_in_negotiation(bench: Bench, listener: Listener) -> None:
    association = bench.associate(listener, syntaxes=("1.2.840.10008.1.2.4.102",))
    assert not association.accepted_contexts


def test_a_stored_form_is_preferred_to_the_uncompressed_one(bench: Bench, listener: Listener) -> None:
    association = bench.associate(listener, syntaxes=("1.2.840.10008.1.2", EXPLICIT, "1.2.840.10008.1.2.4.50"))
    assert association.accepted_contexts[0].transfer_syntax == ["1.2.840.10008.1.2.4.50"]


def test_a_resend_is_acknowledged_again_and_kept_again(
    bench: Bench, listener: Listener, dataset: MakeDataset, encoded: Encode, store: Store
) -> None:
    data = encoded(dataset())
    association = bench.associate(listener)
    assert [store(association, data).Status for _ in range(2)] == [0, 0]
    assert len(bench.spooled()) == 2


def test_eight_associations_at_once_lose_and_mix_nothing(
    bench: Bench, listener: Listener, dataset: MakeDataset, encoded: Encode, store: Store
) -> None:
    def send(sender: int) -> None:
        association = bench.associate(listener)
        for number in range(10):
            uid = f"1.2.3.{sender}.{number}"
            data = encoded(dataset(uid)) + bytes(1000 * number)
            assert store(association, data, uid=uid).Status == 0x0000
        association.release()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(send, range(1, 9)))
    found = {one.header.sop_instance_uid: one for one in bench.spooled()}
    assert set(found) == {f"1.2.3.{sender}.{number}" for sender in range(1, 9) for number in range(10)}
    for uid, record in found.items():
        assert bench.data_set_bytes(record).startswith(encoded(dataset(uid)))


@pytest.mark.parametrize(
    ("calling", "called", "diagnostic"), [("STRANGER", "DERMPACS", 3), ("SENDER", "OTHER", 7)]
)
def test_an_unknown_ae_title_is_rejected_for_good(
    bench: Bench, listener: Listener, calling: str, called: str, diagnostic: int
) -> None:
    association = bench.associate(listener, calling=calling, called=called)
    assert association.is_rejected
    answer = association.acceptor.primitive
    assert (answer.result, answer.result_source, answer.diagnostic) == (1, 1, diagnostic)


def test_without_a_known_ae_title_nobody_is_let_in(bench: Bench) -> None:
    bench.change(callers=frozenset(), senders=frozenset())
    association = bench.associate(bench.listen())
    assert association.is_rejected
    assert association.acceptor.primitive.diagnostic == 3


def test_who_may_only_report_may_not_store(
    bench: Bench, listener: Listener, dataset: MakeDataset, encoded: Encode, store: Store
) -> None:
    association = bench.associate(listener, calling="REPORTER")
    answered = store(association, encoded(dataset()))
    assert answered.Status == 0x0124
    assert answered.ErrorComment == "This AE title may not send objects here."
    assert bench.spooled() == []


def test_more_associations_than_allowed_are_rejected_for_the_moment(bench: Bench) -> None:
    bench.change(maximum_associations=2)
    listener = bench.listen()
    held = [bench.associate(listener) for _ in range(2)]
    assert all(one.is_established for one in held)
    third = bench.associate(listener)
    answer = third.acceptor.primitive
    assert (answer.result, answer.result_source, answer.diagnostic) == (2, 3, 2)
    held[0].release()
    deadline = time.monotonic() + 10
    while not bench.associate(listener).is_established:
        assert time.monotonic() < deadline


def test_an_echo_is_answered(bench: Bench, listener: Listener) -> None:
    association = bench.associate(listener, classes=(Verification,))
    assert association.send_c_echo().Status == 0x0000


REFUSED = [
    ("not DICOM", lambda data: b"GET / HTTP/1.1\r\n\r\n", 0xCA01),
    ("nothing", lambda data: None, 0xCA01),
    ("truncated in the header", lambda data: data[:60], 0xCA01),
    ("a file instead of a data set", lambda data: bytes(128) + b"DICM" + data, 0xCA01),
    ("another class inside", lambda data: data.replace(DERMOSCOPIC.encode(), b"1.2.840.10008.5.1.4.1.1.77.1.4"), 0xA900),
    ("another instance inside", lambda data: data.replace(b"1.2.3.4.5\0", b"1.2.3.4.6\0"), 0xA900),
    ("no study", lambda data: data.replace(b" \0\x0d\0UI\x06\x001.2.3\0", b""), 0xA900),
    ("an illegal study", lambda data: data.replace(b" \0\x0d\0UI\x06\x001.2.3\0", b" \0\x0d\0UI\x06\x00../../"), 0xA900),
    ("a nested header", lambda data: b"\x08\0\x40\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\0\xe0\xff\xff\xff\xff" * 100 + data, 0xCA02),
    ("a huge header", lambda data: b"\x08\0\x01\0OB\0\0\0\0\0\x02" + bytes(0x02000000) + data, 0xCA02),
]


@pytest.mark.parametrize(("change", "expected"), [one[1:] for one in REFUSED], ids=[one[0] for one in REFUSED])
def test_what_cannot_be_taken_is_refused_with_its_reason_and_the_service_goes_on(
    bench: Bench, listener: Listener, dataset: MakeDataset, encoded: Encode, store: Store,
    change: Callable[[bytes], bytes | None], expected: int,
) -> None:  # fmt: skip
    data = encoded(dataset())
    association = bench.associate(listener)
    answered = store(association, change(data))
    assert answered.Status == expected
    assert answered.ErrorComment
    assert store(association, data).Status == 0x0000
    assert store(bench.associate(listener), data).Status == 0x0000


def test_a_request_of_another_class_than_its_context_is_refused(
    bench: Bench, listener: Listener, dataset: MakeDataset, encoded: Encode, store: Store
) -> None:
    association = bench.associate(listener, classes=(DERMOSCOPIC, SECONDARY))
    data = encoded(dataset(sop_class=SECONDARY))
    assert store(association, data, sop_class=SECONDARY, context_class=DERMOSCOPIC).Status == 0xA900
    assert store(association, data, sop_class=SECONDARY).Status == 0x0000


@pytest.mark.parametrize("uid", ["../../etc/passwd", "1.2.3.4.05", "no uid"])
def test_an_instance_uid_that_is_none_is_refused_and_becomes_no_file(
    bench: Bench, listener: Listener, dataset: MakeDataset, encoded: Encode, store: Store, uid: str
) -> None:
    association = bench.associate(listener)
    data = encoded(dataset())
    assert store(association, data.replace(b"\x0a\x001.2.3.4.5\0", bytes((16, 0)) + uid.encode().ljust(16, b"\0")), uid=uid).Status == 0xA900
    assert store(association, data).Status == 0x0000
    assert sorted(one.name for one in bench.policy.spool_dir.rglob("*")) == ["00000001.journal", "listener-0"]


def test_an_abort_in_the_middle_of_an_object_leaves_nothing(
    bench: Bench, listener: Listener, dataset: MakeDataset, encoded: Encode, store: Store
) -> None:
    association = bench.associate(listener)
    request = C_STORE()
    request.MessageID = 1
    request.AffectedSOPClassUID = DERMOSCOPIC
    request.AffectedSOPInstanceUID = "1.2.3.4.5"
    request.Priority = 2
    request.DataSet = BytesIO(encoded(dataset()) + bytes(100_000))
    message = C_STORE_RQ()
    message.primitive_to_message(request)
    parts = list(message.encode_msg(association.accepted_contexts[0].context_id, 16_000))
    for part in parts[:-2]:
        association.dul.send_pdu(part)
    association.abort()
    assert bench.spooled() == []
    assert store(bench.associate(listener), encoded(dataset())).Status == 0x0000


def test_bytes_that_are_no_dicom_at_all_do_not_stop_the_listener(
    bench: Bench, listener: Listener, dataset: MakeDataset, encoded: Encode, store: Store
) -> None:
    for junk in (b"GET / HTTP/1.1\r\n\r\n", b"\x01\0\0\0\0\x04abcd", b"\x04\0\0\0\0\x08\0\0\0\x04\x01\x03ab", b""):
        with socket.create_connection(("127.0.0.1", listener.port)) as peer:
            peer.sendall(junk)
    # None of them keeps its place among the associations until the ACSE time-out.
    deadline = time.monotonic() + 10
    while listener._server.active_associations:
        assert time.monotonic() < deadline
    assert store(bench.associate(listener), encoded(dataset())).Status == 0x0000


def test_the_disk_reserve_is_answered_out_of_resources(
    bench: Bench, dataset: MakeDataset, encoded: Encode, store: Store
) -> None:
    bench.change(reserve_bytes=2**60)
    association = bench.associate(bench.listen())
    answered = store(association, encoded(dataset()))
    assert answered.Status == 0xA700
    assert answered.ErrorComment == "The disk reserve of the spool is reached."


def test_a_full_disk_is_answered_out_of_resources_and_the_service_goes_on(
    small_disk: Path, bench: Bench, dataset: MakeDataset, encoded: Encode, store: Store
) -> None:
    # A reserve far below zero lets the object through to the disk itself, as if a neighbour had filled it meanwhile.
    bench.change(spool_dir=small_disk / "spool", reserve_bytes=-(10**9))
    listener = bench.listen()
    association = bench.associate(listener)
    statuses = []
    for number in range(1, 12):
        uid = f"1.2.3.4.{number}"
        statuses.append(store(association, encoded(dataset(uid)) + os.urandom(1_000_000), uid=uid).Status)
    assert statuses[0] == 0
    assert set(statuses) == {0, 0xA700}
    assert len(bench.spooled()) == statuses.count(0)
    assert store(association, encoded(dataset("1.2.9")), uid="1.2.9").Status == 0x0000
    assert bench.spooled()[-1].header.sop_instance_uid == "1.2.9"
    assert bench.associate(listener, classes=(Verification,)).send_c_echo().Status == 0x0000


def test_a_failed_sync_is_answered_out_of_resources_and_nothing_is_kept(
    bench: Bench, dataset: MakeDataset, encoded: Encode, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(fd: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    listener = bench.listen()
    association = bench.associate(listener)
    with monkeypatch.context() as patched:
        patched.setattr(listener._journal, "_sync", fail)
        assert store(association, encoded(dataset())).Status == 0xA700
    assert bench.spooled() == []
    assert store(association, encoded(dataset())).Status == 0x0000


def test_our_own_error_has_a_chosen_status_and_no_patient_in_the_log(
    bench: Bench, listener: Listener, dataset: MakeDataset, encoded: Encode, store: Store,
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    patient = "SYNTHETIC^" + "TEST"

    def fail(*_: object) -> None:
        raise RuntimeError(patient)

    association = bench.associate(listener)
    with caplog.at_level(logging.DEBUG), monkeypatch.context() as patched:
        patched.setattr(listener._journal, "append", fail)
        answered = store(association, encoded(dataset()))
    assert answered.Status == 0x0110
    assert answered.ErrorComment == "The listener met an error of its own; nothing was stored."
    assert "RuntimeError" in caplog.text
    assert patient not in caplog.text
    assert store(association, encoded(dataset())).Status == 0x0000

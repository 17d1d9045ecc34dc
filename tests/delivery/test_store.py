"""Sending results: what the destination has is reported, and every failure becomes one of ours within bounds."""

import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from pydicom.uid import Comprehensive3DSRStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import evt

from derm_pacs.delivery import store
from derm_pacs.domain.composed import Composed, Form
from derm_pacs.domain.errors import Busy, Rejected, Transient
from derm_pacs.domain.reasons import NO_CONTEXT, OBJECT_REFUSED, PEER_AWAY, PEER_BUSY, PEER_REFUSES

pytestmark = pytest.mark.server  # peers on real sockets, whose silences take their time

Log = list[tuple[str, int]]


@pytest.fixture
def log() -> Log:
    return []


@pytest.fixture
def note(log: Log) -> Callable[[str, int], None]:
    return lambda uid, status: log.append((uid, status))


def test_all_objects_go_over_one_association_byte_for_byte(place: Any, make_peer: Any, objects: list[Composed], log: Log, note: Any) -> None:
    peer = make_peer()
    store.send(place.of(peer), objects, note)
    assert log == [(one.sop_instance_uid, 0x0000) for one in objects]
    assert peer.associations == 1
    assert all(one.data.endswith(sent) for one, (_, sent) in zip(objects, peer.received, strict=True))
    assert {syntax for syntax, _ in peer.received} == {ExplicitVRLittleEndian}


def test_exactly_the_needed_contexts_are_proposed(place: Any, make_peer: Any, make_object: Any, note: Any) -> None:
    proposed: list[tuple[str, str]] = []

    def look(event: evt.Event) -> None:
        for context in getattr(event.assoc.requestor.primitive, "presentation_context_definition_list", []):
            proposed.extend((str(context.abstract_syntax), str(syntax)) for syntax in context.transfer_syntax)

    store.send(place.of(make_peer(handlers=[(evt.EVT_ACCEPTED, look)])), [make_object(Form.REPORT_SR)], note)
    assert sorted(proposed) == [
        (Comprehensive3DSRStorage, ImplicitVRLittleEndian), (Comprehensive3DSRStorage, ExplicitVRLittleEndian),
    ]


def test_a_peer_that_knows_only_the_default_transfer_syntax_gets_the_objects_in_it(
    place: Any, make_peer: Any, objects: list[Composed], log: Log, note: Any
) -> None:
    peer = make_peer(syntaxes=(str(ImplicitVRLittleEndian),))
    store.send(place.of(peer), objects, note)
    assert len(log) == 3
    assert {syntax for syntax, _ in peer.received} == {ImplicitVRLittleEndian}


def test_nothing_to_send_opens_no_association(place: Any, make_peer: Any, note: Any) -> None:
    peer = make_peer()
    store.send(place.of(peer), [], note)
    assert peer.associations == 0


@pytest.mark.parametrize("status", [0xB000, 0xB006, 0xB007, 0x0111])
def test_a_warning_and_a_duplicate_count_as_stored(
    place: Any, make_peer: Any, objects: list[Composed], log: Log, note: Any, status: int
) -> None:
    store.send(place.of(make_peer(statuses=[0x0000, status])), objects, note)
    assert [one for _, one in log] == [0x0000, status, 0x0000]


@pytest.mark.parametrize("status", [0xA700, 0xA7FF, 0x0213, 0x0110])
def test_a_peer_out_of_resources_is_busy_and_what_it_has_stays_reported(
    place: Any, make_peer: Any, objects: list[Composed], log: Log, note: Any, status: int
) -> None:
    peer = make_peer(statuses=[0x0000, status])
    with pytest.raises(Busy) as caught:
        store.send(place.of(peer), objects, note)
    assert caught.value.reason is PEER_BUSY
    assert f"0x{status:04X}" in caught.value.detail
    assert [uid for uid, _ in log] == [objects[0].sop_instance_uid]
    assert len(peer.received) == 1


@pytest.mark.parametrize("status", [0xA900, 0xC000, 0xCFFF, 0x0122, 0x0124, 0x0117])
def test_a_refused_object_keeps_none_of_the_others_back(
    place: Any, make_peer: Any, objects: list[Composed], log: Log, note: Any, status: int
) -> None:
    with pytest.raises(Rejected) as caught:
        store.send(place.of(make_peer(statuses=[status])), objects, note)
    assert caught.value.reason is OBJECT_REFUSED
    assert objects[0].sop_instance_uid in caught.value.detail
    assert [uid for uid, _ in log] == [one.sop_instance_uid for one in objects[1:]]


def test_a_peer_without_segmentations_gets_the_reports_and_the_missing_kind_is_named(
    place: Any, make_peer: Any, objects: list[Composed], log: Log, note: Any
) -> None:
    with pytest.raises(Rejected) as caught:
        store.send(place.of(make_peer(storage=[Comprehensive3DSRStorage])), objects, note)
    assert caught.value.reason is NO_CONTEXT
    assert "seg" in caught.value.detail
    assert [uid for uid, _ in log] == [one.sop_instance_uid for one in objects[1:]]


def test_a_peer_that_accepts_no_context_refuses_for_good(place: Any, make_peer: Any, objects: list[Composed], note: Any) -> None:
    with pytest.raises(Rejected) as caught:
        store.send(place.of(make_peer(storage=[])), objects, note)
    assert caught.value.reason is NO_CONTEXT
    assert "Segmentation Storage" in caught.value.detail


def test_a_peer_that_does_not_know_us_refuses_for_good(place: Any, make_peer: Any, objects: list[Composed], note: Any) -> None:
    with pytest.raises(Rejected) as caught:
        store.send(place.of(make_peer(known=["ANOTHER"])), objects, note)
    assert caught.value.reason is PEER_REFUSES
    assert "Calling AE title not recognised" in caught.value.detail


def test_a_transient_rejection_is_tried_again(place: Any, make_peer: Any, objects: list[Composed], note: Any) -> None:
    def congested(event: evt.Event) -> None:
        event.assoc.acse.send_reject(0x02, 0x03, 0x01)
        event.assoc.kill()

    with pytest.raises(Busy) as caught:
        store.send(place.of(make_peer(handlers=[(evt.EVT_REQUESTED, congested)])), objects, note)
    assert caught.value.reason is PEER_BUSY


def test_nobody_listening_is_transient(place: Any, objects: list[Composed], note: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    with pytest.raises(Transient) as caught:
        store.send(place.at(port), objects, note)
    assert caught.value.reason is PEER_AWAY
    assert str(port) in caught.value.detail


def test_a_peer_that_takes_the_connection_and_says_nothing_is_left_in_time(place: Any, objects: list[Composed], note: Any) -> None:
    began = time.monotonic()
    with pytest.raises(Transient) as caught:
        store.send(place.silent(), objects, note)
    assert caught.value.reason is PEER_AWAY
    assert time.monotonic() - began < 15


def test_a_peer_that_stops_in_the_middle_of_its_answer_is_left_in_time_and_leaves_no_thread(
    place: Any, objects: list[Composed], note: Any
) -> None:
    before = threading.active_count()
    began = time.monotonic()
    with pytest.raises(Transient) as caught:
        store.send(place.stammering(b"\x02\x00\x00\x00\x01\x00\x00"), objects, note)
    assert caught.value.reason is PEER_AWAY
    assert time.monotonic() - began < 15
    assert threading.active_count() <= before + 1  # the test's own


def test_an_abort_in_the_middle_is_transient_and_what_was_acknowledged_stays_reported(
    place: Any, make_peer: Any, objects: list[Composed], log: Log, note: Any
) -> None:
    seen: list[str] = []

    def abort_second(event: evt.Event) -> int:
        seen.append(str(event.message_id))
        if len(seen) == 2:
            event.assoc.abort()
        return 0x0000

    with pytest.raises(Transient) as caught:
        store.send(place.of(make_peer(handlers=[(evt.EVT_C_STORE, abort_second)])), objects, note)
    assert caught.value.reason is PEER_AWAY
    assert [uid for uid, _ in log] == [objects[0].sop_instance_uid]


def test_an_association_that_hangs_in_a_store_is_left_in_time(place: Any, make_peer: Any, objects: list[Composed], log: Log, note: Any) -> None:
    over = threading.Event()

    def hang(_event: evt.Event) -> int:
        over.wait(20)
        return 0x0000

    began = time.monotonic()
    try:
        with pytest.raises(Transient) as caught:
            store.send(place.of(make_peer(handlers=[(evt.EVT_C_STORE, hang)]), 1.0), objects, note)
    finally:
        over.set()
    assert caught.value.reason is PEER_AWAY
    assert time.monotonic() - began < 15
    assert log == []


def test_a_peer_that_stops_reading_in_the_middle_of_a_large_object_is_left_in_time(
    place: Any, make_peer: Any, make_object: Any, log: Log, note: Any
) -> None:
    read = 0

    def after_a_megabyte(block: bytes) -> bool:
        nonlocal read
        read += len(block)
        return read > 1_000_000

    destination = place.behind_relay(place.of(make_peer()), after_a_megabyte)
    began = time.monotonic()
    with pytest.raises(Transient) as caught:
        store.send(destination, [make_object(Form.SEG, 24_000_000)], note)
    assert caught.value.reason is PEER_AWAY
    assert time.monotonic() - began < 15
    assert log == []


def test_a_peer_that_does_not_answer_the_release_has_all_the_same_what_it_acknowledged(
    place: Any, make_peer: Any, objects: list[Composed], log: Log, note: Any
) -> None:
    release_request = b"\x05\x00\x00\x00\x00\x04"
    destination = place.behind_relay(place.of(make_peer()), lambda block: block.startswith(release_request))
    began = time.monotonic()
    store.send(destination, objects, note)
    assert len(log) == 3
    assert time.monotonic() - began < 15


def test_an_error_of_the_caller_passes_and_ends_the_association(place: Any, make_peer: Any, objects: list[Composed]) -> None:
    aborted = threading.Event()
    peer = make_peer(handlers=[(evt.EVT_ABORTED, lambda _event: aborted.set())])

    def ledger_away(_uid: str, _status: int) -> None:
        raise ConnectionError("the ledger is away")

    with pytest.raises(ConnectionError):
        store.send(place.of(peer), objects, ledger_away)
    assert aborted.wait(5)

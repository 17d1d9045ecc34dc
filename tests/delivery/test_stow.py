"""STOW-RS: each object's own answer is read, and every failure becomes one of ours within bounds."""

import socket
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from derm_pacs.delivery import stow
from derm_pacs.delivery.interface import WebDestination
from derm_pacs.domain.composed import Composed, Form
from derm_pacs.domain.errors import Busy, Rejected, Transient
from derm_pacs.domain.reasons import ACCESS_DENIED, NO_CONTEXT, NO_SERVICE, OBJECT_REFUSED, PEER_AWAY, PEER_BUSY

from .web_peer import Reply, Request, WebService, serving, stored, told

pytestmark = pytest.mark.server  # peers on real sockets, whose silences take their time

Log = list[tuple[str, int]]


@pytest.fixture
def log() -> Log:
    return []


@pytest.fixture
def note(log: Log) -> Callable[[str, int], None]:
    return lambda uid, status: log.append((uid, status))


@pytest.fixture
def service() -> Iterator[WebService]:
    with serving(lambda _request: told({})) as running:
        yield running


def test_all_objects_go_in_one_request_byte_for_byte(service: WebService, objects: list[Composed], log: Log, note: Any) -> None:
    stow.send(service.destination(), objects, note)
    assert log == [(one.sop_instance_uid, 0x0000) for one in objects]
    (asked,) = service.asked
    assert (asked.method, asked.path) == ("POST", "/dicom-web/studies")
    assert asked.headers["accept"] == "application/dicom+json"
    assert asked.headers["content-type"].startswith('multipart/related; type="application/dicom"; boundary=')
    assert asked.parts() == [one.data for one in objects]


def test_nothing_to_send_sends_nothing(service: WebService, note: Any) -> None:
    stow.send(service.destination(), [], note)
    assert service.asked == []


def test_many_objects_go_in_several_requests_in_their_order(service: WebService, objects: list[Composed], log: Log, note: Any) -> None:
    many = [replace(objects[0], sop_instance_uid=f"2.25.{number}", data=bytes([number]) * 8) for number in range(stow.MOST_OBJECTS * 2 + 1)]
    stow.send(service.destination(), many, note)
    assert [len(one.parts()) for one in service.asked] == [stow.MOST_OBJECTS, stow.MOST_OBJECTS, 1]
    assert [uid for uid, _ in log] == [one.sop_instance_uid for one in many]


@given(st.lists(st.integers(0, stow.MOST_BYTES + 9), max_size=40))
def test_groups_hold_every_object_once_in_order_and_keep_the_limits(lengths: list[int]) -> None:
    objects: list[Any] = [_Sized(number, length) for number, length in enumerate(lengths)]
    groups = list(stow._groups(objects)) if objects else []
    assert [one for group in groups for one in group] == objects
    for group in groups:
        assert 1 <= len(group) <= stow.MOST_OBJECTS
        assert len(group) == 1 or sum(len(one.data) for one in group) <= stow.MOST_BYTES


@dataclass(frozen=True)
class _Sized:
    """An object of a length, without its bytes."""

    number: int
    length: int

    @property
    def data(self) -> range:
        return range(self.length)


def test_a_large_object_goes_alone_and_is_not_copied(service: WebService, objects: list[Composed], note: Any) -> None:
    large = replace(objects[0], sop_instance_uid="2.25.9", data=bytes(stow.MOST_BYTES + 1))
    service.answer = lambda request: told({})
    blocks = stow._Multipart(boundary="b", parts=[large.data, large.data])
    tracemalloc.start()
    assert len(blocks) > 2 * stow.MOST_BYTES
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()
    stow.send(service.destination(20), [objects[0], large, objects[1]], note)
    assert [len(one.parts()) for one in service.asked] == [1, 1, 1]


def test_a_refused_object_is_named_with_its_reason_and_the_others_are_stored(
    service: WebService, objects: list[Composed], log: Log, note: Any
) -> None:
    first, second, third = (one.sop_instance_uid for one in objects)
    service.answer = lambda _request: stored(first, third, failed={second: 0xA900}, status=202)
    with pytest.raises(Rejected) as caught:
        stow.send(service.destination(), objects, note)
    assert caught.value.reason is OBJECT_REFUSED
    assert f"overlay_sr {second} with status 0xA900" in caught.value.detail
    assert [uid for uid, _ in log] == [first, third]


def test_a_failure_that_a_200_hides_in_its_body_is_seen(service: WebService, objects: list[Composed], log: Log, note: Any) -> None:
    first, second, third = (one.sop_instance_uid for one in objects)
    service.answer = lambda _request: stored(second, third, failed={first: 0xC000}, status=200)
    with pytest.raises(Rejected) as caught:
        stow.send(service.destination(), objects, note)
    assert caught.value.reason is OBJECT_REFUSED
    assert [uid for uid, _ in log] == [second, third]


@pytest.mark.parametrize("reason", [0x0122, 0xC122])
def test_a_kind_that_the_service_does_not_take_is_no_context(
    service: WebService, objects: list[Composed], log: Log, note: Any, reason: int
) -> None:
    first, second, third = (one.sop_instance_uid for one in objects)
    service.answer = lambda _request: stored(second, third, failed={first: reason}, status=202)
    with pytest.raises(Rejected) as caught:
        stow.send(service.destination(), objects, note)
    assert caught.value.reason is NO_CONTEXT
    assert "seg" in caught.value.detail
    assert [uid for uid, _ in log] == [second, third]


def test_warnings_and_a_duplicate_count_as_stored(service: WebService, objects: list[Composed], log: Log, note: Any) -> None:
    first, second, third = (one.sop_instance_uid for one in objects)
    service.answer = lambda _request: stored(first, warned={second: 0xB000}, failed={third: 0x0111}, status=202)
    stow.send(service.destination(), objects, note)
    assert log == [(first, 0x0000), (second, 0xB000), (third, 0x0111)]


@pytest.mark.parametrize("reason", [0xA700, 0xA7FF, 0x0110, 0x0213])
def test_out_of_resources_for_one_object_is_busy_and_what_is_stored_stays_reported(
    service: WebService, objects: list[Composed], log: Log, note: Any, reason: int
) -> None:
    first, second, third = (one.sop_instance_uid for one in objects)
    service.answer = lambda _request: stored(first, third, failed={second: reason}, status=202)
    with pytest.raises(Busy) as caught:
        stow.send(service.destination(), objects, note)
    assert caught.value.reason is PEER_BUSY
    assert f"0x{reason:04X}" in caught.value.detail
    assert [uid for uid, _ in log] == [first, third]


def test_a_conflict_for_all_names_every_reason(service: WebService, objects: list[Composed], log: Log, note: Any) -> None:
    service.answer = lambda _request: stored(failed={one.sop_instance_uid: 0x0124 for one in objects}, status=409)
    with pytest.raises(Rejected) as caught:
        stow.send(service.destination(), objects, note)
    assert caught.value.reason is OBJECT_REFUSED
    assert caught.value.detail.count("0x0124") == 3
    assert len(service.asked) == 1
    assert log == []


@pytest.mark.parametrize("status", [400, 409, 413, 415, 422, 202])
def test_where_the_whole_request_is_refused_each_object_goes_again_alone(
    service: WebService, objects: list[Composed], log: Log, note: Any, status: int
) -> None:
    def answer(request: Request) -> Reply:
        sent = request.parts()
        return (status, "text/html", b"<p>no") if objects[0].data in sent else stored()

    service.answer = answer
    with pytest.raises(Rejected) as caught:
        stow.send(service.destination(), objects, note)
    assert caught.value.reason is OBJECT_REFUSED
    assert f"seg {objects[0].sop_instance_uid} with HTTP status {status}" in caught.value.detail
    assert [uid for uid, _ in log] == [one.sop_instance_uid for one in objects[1:]]
    assert [len(one.parts()) for one in service.asked] == [3, 1, 1, 1]


@pytest.mark.parametrize("status", [429, 503, 507, 500])
def test_a_service_out_of_resources_is_busy(service: WebService, objects: list[Composed], log: Log, note: Any, status: int) -> None:
    service.answer = lambda _request: (status, "text/plain", b"later")
    with pytest.raises(Busy) as caught:
        stow.send(service.destination(), objects, note)
    assert caught.value.reason is PEER_BUSY
    assert str(status) in caught.value.detail
    assert log == []


@pytest.mark.parametrize(
    ("status", "error", "reason"),
    [
        (401, Transient, ACCESS_DENIED), (403, Transient, ACCESS_DENIED), (404, Rejected, NO_SERVICE), (405, Rejected, NO_SERVICE),
        (301, Rejected, NO_SERVICE), (307, Rejected, NO_SERVICE), (204, Rejected, NO_SERVICE), (501, Rejected, NO_SERVICE),
        (408, Transient, PEER_AWAY), (502, Transient, PEER_AWAY), (504, Transient, PEER_AWAY),
    ],
)
def test_other_answers_say_what_is_to_be_mended(
    service: WebService, objects: list[Composed], note: Any, status: int, error: type[Exception], reason: Any
) -> None:
    service.answer = lambda _request: (status, "text/plain", b"")
    with pytest.raises(error) as caught:
        stow.send(service.destination(), objects, note)
    assert getattr(caught.value, "reason", None) is reason
    assert len(service.asked) == 1  # a redirect is not followed either


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"7", b"<xml/>", b'{"00081198": 3}', b'{"00081198": {"Value": [7, {}]}}', b"\xff"])
def test_a_body_that_says_nothing_leaves_the_status_to_decide(
    service: WebService, objects: list[Composed], log: Log, note: Any, body: bytes
) -> None:
    service.answer = lambda _request: (200, "application/dicom+json", body)
    stow.send(service.destination(), objects, note)
    assert len(log) == 3


def test_nobody_listening_is_transient(objects: list[Composed], note: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    with pytest.raises(Transient) as caught:
        stow.send(WebDestination(name="web", url=f"http://127.0.0.1:{port}"), objects, note)
    assert caught.value.reason is PEER_AWAY
    assert "refused" in caught.value.detail


def test_a_service_that_takes_the_connection_and_says_nothing_is_left_in_time(objects: list[Composed], note: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(Transient) as caught:
            stow.send(WebDestination(name="web", url=url, connect_seconds=1, store_seconds=1), objects, note)
    assert caught.value.reason is PEER_AWAY
    assert time.monotonic() - began < 10


def test_a_service_that_stops_reading_in_the_middle_of_a_large_object_is_left_in_time(
    make_object: Any, log: Log, note: Any
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        began = time.monotonic()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        with pytest.raises(Transient) as caught:
            stow.send(WebDestination(name="web", url=url, connect_seconds=1, store_seconds=1), [make_object(Form.SEG, 24_000_000)], note)
    assert caught.value.reason is PEER_AWAY
    assert time.monotonic() - began < 10
    assert log == []


def test_an_answer_that_never_ends_is_left_in_time(objects: list[Composed], log: Log, note: Any) -> None:
    over = threading.Event()

    def drip(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection:
            connection.recv(1 << 20)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/dicom+json\r\nContent-Length: 100000\r\n\r\n")
            while not over.wait(0.2):
                try:
                    connection.sendall(b" ")
                except OSError:
                    return

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=drip, args=(listening,))
        thread.start()
        began = time.monotonic()
        try:
            with pytest.raises(Transient) as caught:
                url = f"http://127.0.0.1:{listening.getsockname()[1]}"
                stow.send(WebDestination(name="web", url=url, connect_seconds=1, store_seconds=1), objects, note)
        finally:
            over.set()
            thread.join(10)
    assert caught.value.reason is PEER_AWAY
    assert time.monotonic() - began < 10
    assert log == []


def test_a_connection_that_breaks_in_the_second_request_leaves_the_first_reported(
    service: WebService, objects: list[Composed], log: Log, note: Any
) -> None:
    many = [replace(objects[0], sop_instance_uid=f"2.25.{number}") for number in range(stow.MOST_OBJECTS + 1)]
    service.answer = lambda _request: stored() if len(service.asked) == 1 else None
    with pytest.raises(Transient) as caught:
        stow.send(service.destination(), many, note)
    assert caught.value.reason is PEER_AWAY
    assert len(log) == stow.MOST_OBJECTS


def test_the_environment_lends_neither_proxy_nor_password(
    service: WebService, objects: list[Composed], note: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password geheim\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    stow.send(service.destination(), objects, note)
    assert "authorization" not in service.asked[0].headers

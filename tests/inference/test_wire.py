"""Messages arrive whole and in order, descriptors beside them; what is none is told apart from a side that has gone."""

import os
import socket
import time
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from derm_pacs.inference import wire

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    one, other = socket.socketpair()
    with one, other:
        yield one, other


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=8))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_messages_come_out_as_they_went_in(pair: Pair, messages: list[bytes]) -> None:
    for message in messages:
        wire.send(pair[0], message)
    assert [wire.receive(pair[1])[0] for _ in messages] == messages


def test_a_descriptor_travels_beside_its_message(pair: Pair) -> None:
    memory = os.memfd_create("test")
    os.write(memory, b"pixels")
    wire.send(pair[0], b"look", [memory])
    message, (received,) = wire.receive(pair[1], descriptors=1)
    try:
        assert (message, os.pread(received, 10, 0)) == (b"look", b"pixels")
    finally:
        os.close(received)
        os.close(memory)


def test_descriptors_that_nobody_asked_for_are_dropped(pair: Pair) -> None:
    reading, writing = os.pipe()
    try:
        wire.send(pair[0], b"take this", [writing])
        os.close(writing)
        assert wire.receive(pair[1]) == (b"take this", ())
        assert os.read(reading, 1) == b""  # the pipe has no writer left
    finally:
        os.close(reading)


def test_silence_ends_at_the_deadline(pair: Pair) -> None:
    with pytest.raises(TimeoutError):
        wire.receive(pair[1], deadline=time.monotonic() + 0.05)


def test_a_message_that_never_ends_ends_at_the_deadline(pair: Pair) -> None:
    pair[0].sendall((1000).to_bytes(4, "big") + b"slow")
    with pytest.raises(TimeoutError):
        wire.receive(pair[1], deadline=time.monotonic() + 0.05)


def test_a_reader_that_does_not_read_cannot_hold_the_sender(pair: Pair) -> None:
    with pytest.raises(TimeoutError):
        wire.send(pair[0], bytes(4_000_000), deadline=time.monotonic() + 0.1)


@pytest.mark.parametrize("length", [0, wire.MAX_MESSAGE + 1, 2**32 - 1])
def test_an_impossible_length_is_garbled(pair: Pair, length: int) -> None:
    pair[0].sendall(length.to_bytes(4, "big"))
    with pytest.raises(wire.Garbled):
        wire.receive(pair[1])


@pytest.mark.parametrize("said", [b"", b"\0\0", (10).to_bytes(4, "big") + b"half"])
def test_a_side_that_goes_away_is_told(pair: Pair, said: bytes) -> None:
    pair[0].sendall(said)
    pair[0].close()
    with pytest.raises(wire.Closed):
        wire.receive(pair[1])
    with pytest.raises(wire.Closed):
        wire.send(pair[1], b"anybody there?" * 10)

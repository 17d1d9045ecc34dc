"""A connection that stands still in the middle of a PDU is ended and keeps no place from others."""

import socket
from contextlib import ExitStack

import pytest

from tests.receive.conftest import Bench

pytestmark = pytest.mark.server


def test_half_a_pdu_that_never_ends_is_ended_by_the_listener(bench: Bench) -> None:
    bench.change(stall_seconds=0.5, maximum_associations=2)
    listener = bench.listen()
    with ExitStack() as stack:
        stalled = [stack.enter_context(socket.create_connection(("127.0.0.1", listener.port))) for _ in range(2)]
        for one in stalled:
            one.settimeout(20)
            one.sendall(b"\x01\x00\x00\x00\x01\x00")  # an A-ASSOCIATE-RQ of 256 bytes, and none of them
        for one in stalled:
            while one.recv(4096):
                pass  # what the listener says before it closes
    association = bench.associate(listener)
    assert association.is_established

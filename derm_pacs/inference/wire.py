"""Framing between client and runner: length-prefixed bytes on a socket pair, descriptors beside them, never pickle."""

import socket
import time
from collections.abc import Sequence

MAX_MESSAGE = 4 * 1024 * 1024
"""Bytes of the longest message that is read; pixels and masks travel in memory files, not in messages."""


class Closed(Exception):
    """The other side has gone."""


class Garbled(Exception):
    """What came is no message."""


def send(
    channel: socket.socket, message: bytes, descriptors: Sequence[int] = (), *, deadline: float | None = None
) -> None:
    """Send one message; `deadline` is a reading of `time.monotonic()`.

    Raises `TimeoutError` at the deadline and `Closed` when the other side has gone.
    """
    prefix = len(message).to_bytes(4, "big")
    try:
        _limit(channel, deadline)
        sent = socket.send_fds(channel, [prefix], list(descriptors)) if descriptors else channel.send(prefix)
        _limit(channel, deadline)
        channel.sendall(prefix[sent:] + message)
    except (BrokenPipeError, ConnectionResetError) as error:
        raise Closed from error


def receive(
    channel: socket.socket, *, descriptors: int = 0, deadline: float | None = None
) -> tuple[bytes, tuple[int, ...]]:
    """Receive one message and at most `descriptors` file descriptors, which the caller closes.

    With 0 descriptors, the kernel drops any that are sent. Raises as `send`, and `Garbled` for an impossible length.
    """
    received: list[int] = []
    prefix = b""
    while len(prefix) < 4:
        _limit(channel, deadline)
        try:
            if descriptors and not prefix:
                part, received, _, _ = socket.recv_fds(channel, 4, descriptors)
            else:
                part = channel.recv(4 - len(prefix))
        except ConnectionResetError as error:
            raise Closed from error
        if not part:
            raise Closed
        prefix += part
    length = int.from_bytes(prefix, "big")
    if not 0 < length <= MAX_MESSAGE:
        raise Garbled(f"a message of {length} bytes was announced")
    return _body(channel, length, deadline), tuple(received)


def _body(channel: socket.socket, length: int, deadline: float | None) -> bytes:
    body = bytearray()
    while len(body) < length:
        _limit(channel, deadline)
        try:
            part = channel.recv(min(length - len(body), 1 << 16))
        except ConnectionResetError as error:
            raise Closed from error
        if not part:
            raise Closed
        body += part
    return bytes(body)


def _limit(channel: socket.socket, deadline: float | None) -> None:
    if deadline is None:
        channel.settimeout(None)
        return
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    channel.settimeout(left)

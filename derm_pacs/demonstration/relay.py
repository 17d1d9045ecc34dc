"""Carries bytes between TCP ports of the loopback interface and Unix sockets.

A Unix socket with a path is reached from every network namespace that sees the file system, so a pair of relays
joins a port of one namespace to a port of another without addresses, routes or bridges between them.
"""

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

LOOPBACK = "127.0.0.1"
_CHUNK = 1 << 18

Connect = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError, OSError):  # either end may leave at any time; the other is then told by the close
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()


def _carrier(connect: Connect) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await connect()
        except OSError:  # nobody listens there: the caller sees its connection closed
            writer.transport.abort()
            return
        try:
            await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))
        finally:
            far_writer.close()
            writer.close()

    return carry


async def port_to_socket(listening: socket.socket, path: Path) -> asyncio.Server:
    """Carry each connection accepted by a listening TCP socket to the Unix socket at `path`."""
    return await asyncio.start_server(_carrier(lambda: asyncio.open_unix_connection(path)), sock=listening)


async def socket_to_port(path: Path, port: int) -> asyncio.Server:
    """Listen on a new Unix socket at `path` and carry each connection to a port of the loopback interface."""
    return await asyncio.start_unix_server(_carrier(lambda: asyncio.open_connection(LOOPBACK, port)), path=path)


def listen(port: int) -> socket.socket:
    """Return a TCP socket that listens on the loopback interface; port 0 takes a free one."""
    return socket.create_server((LOOPBACK, port), backlog=128)


class RelayThread:
    """Relays that run in a thread of this process until they are closed."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="relay", daemon=True)
        self._servers: list[asyncio.Server] = []
        self._thread.start()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close every relay and every connection."""
        self.close()

    def port_to_socket(self, listening: socket.socket, path: Path) -> None:
        """Start a relay from a listening TCP socket to a Unix socket."""
        self._servers.append(asyncio.run_coroutine_threadsafe(port_to_socket(listening, path), self._loop).result())

    def socket_to_port(self, path: Path, port: int) -> None:
        """Start a relay from a new Unix socket to a port of the loopback interface."""
        self._servers.append(asyncio.run_coroutine_threadsafe(socket_to_port(path, port), self._loop).result())

    def close(self) -> None:
        """End every relay; what is still under way is cut off."""
        if self._loop.is_closed():
            return
        asyncio.run_coroutine_threadsafe(self._cut(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _cut(self) -> None:
        for server in self._servers:
            server.close()
        under_way = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)

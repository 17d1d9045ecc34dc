"""The first program of a private network namespace: raises its loopback interface, relays, runs one command.

Started as `unshare --net python -m derm_pacs.demonstration.inside JSON` by `orthanc.py`. It ends, and ends the
command, when it is told to (SIGTERM) or when its standard input closes, which is how it notices that its starter died.
"""

import asyncio
import fcntl
import json
import signal
import socket
import struct
import sys
from dataclasses import dataclass
from pathlib import Path

from derm_pacs.demonstration.relay import listen, port_to_socket, socket_to_port

_SIOCGIFFLAGS = 0x8913  # linux/sockios.h
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 0x1  # linux/if.h
_GRACE_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """What to do in the namespace."""

    command: tuple[str, ...]
    raise_loopback: bool
    """False where there is no namespace of our own: the machine's loopback interface is up already."""
    into: tuple[tuple[str, int], ...] = ()
    """(Unix socket to listen on, port in the namespace to carry to)."""
    out_of: tuple[tuple[int, str], ...] = ()
    """(port to listen on in the namespace, Unix socket to carry to)."""

    def to_json(self) -> str:
        """Return the errand as the program's argument."""
        return json.dumps({
            "command": self.command, "raise_loopback": self.raise_loopback, "into": self.into, "out_of": self.out_of,
        })  # fmt: skip

    @classmethod
    def from_json(cls, text: str) -> "Errand":
        """Read the program's argument back."""
        told = json.loads(text)
        return cls(
            command=tuple(told["command"]),
            raise_loopback=told["raise_loopback"],
            into=tuple((path, port) for path, port in told["into"]),
            out_of=tuple((port, path) for port, path in told["out_of"]),
        )


def raise_loopback() -> None:
    """Bring the loopback interface of this network namespace up."""
    with socket.socket() as any_socket:
        request = struct.pack("16sh14x", b"lo", 0)
        (flags,) = struct.unpack("16xh14x", fcntl.ioctl(any_socket, _SIOCGIFFLAGS, request))
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | _IFF_UP))


async def _closed(stream: int) -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    with open(stream, "rb", buffering=0, closefd=False) as pipe:  # a descriptor
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
        await reader.read()


async def run(errand: Errand) -> int:
    """Do the errand; returns the command's exit status."""
    if errand.raise_loopback:
        raise_loopback()
    for path, port in errand.into:
        await socket_to_port(Path(path), port)
    for port, path in errand.out_of:
        await port_to_socket(listen(port), Path(path))
    told_to_stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told_to_stop.set)
    # setpriv: should this program be killed, the kernel ends the command with it.
    command = await asyncio.create_subprocess_exec(
        "setpriv", "--pdeathsig", "KILL", *errand.command, stdin=asyncio.subprocess.DEVNULL
    )
    ended = asyncio.create_task(command.wait())
    reasons = {ended, asyncio.create_task(told_to_stop.wait()), asyncio.create_task(_closed(sys.stdin.fileno()))}
    await asyncio.wait(reasons, return_when=asyncio.FIRST_COMPLETED)
    if not ended.done():
        command.terminate()
        await asyncio.wait({ended}, timeout=_GRACE_SECONDS)
    if not ended.done():
        command.kill()
    return await ended


if __name__ == "__main__":
    sys.exit(abs(asyncio.run(run(Errand.from_json(sys.argv[1])))))

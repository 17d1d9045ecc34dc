"""Programs that stand in for a runner that a bundle has taken over: they say what a test tells them to."""

import sys
from typing import Any

SPEAK = (
    "import json, os, socket, sys\n"
    "channel = socket.socket(fileno=int(sys.argv[1]))\n"
    "def hear():\n"
    "    size = int.from_bytes(channel.recv(4), 'big')\n"
    "    data = b''\n"
    "    while len(data) < size: data += channel.recv(size - len(data))\n"
    "    return json.loads(data)\n"
    "def say(text):\n"
    "    text = text if isinstance(text, bytes) else json.dumps(text).encode()\n"
    "    channel.sendall(len(text).to_bytes(4, 'big') + text)\n"
)
HELLO = {"kind": "hello", "confinement": {"no_new_privileges": True, "seccomp": True, "landlock_abi": 7}}


def answer(*outcomes: dict[str, Any], number: int = 1, frame: int = 1, **more: Any) -> dict[str, Any]:
    return {"kind": "image", "id": number, "frames": [{"frame": frame, "outcomes": list(outcomes)}], **more}


def standing_in(said: object) -> tuple[str, ...]:
    if isinstance(said, str):
        return (sys.executable, "-I", "-S", "-c", SPEAK + said)
    return (
        sys.executable,
        "-I",
        "-S",
        "-c",
        f"{SPEAK}hear(); say({HELLO!r}); hear(); say({said!r}); channel.recv(1)\n",
    )

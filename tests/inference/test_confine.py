"""What a confined process can no longer do; each attempt is made in a child that confines itself as the runner does."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from derm_pacs.inference.landlock import abi

pytestmark = pytest.mark.server

ATTEMPTS = r"""
import ctypes, json, os, signal, socket, subprocess, sys, threading
from pathlib import Path
import torch
from derm_pacs.inference.confine import confine, readable_places

bundle, secret, target, port, parent = sys.argv[1:6]
libc = ctypes.CDLL(None, use_errno=True)
held = os.open(target, os.O_RDONLY)
loose = socket.socket()
state = confine(readable_places(Path(bundle)), address_space=16 * 1024**3)
torch.set_num_threads(2)

def call(number, *arguments):
    if libc.syscall(number, *arguments) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

def convolve():
    layer = torch.nn.Conv2d(3, 8, 3)
    with torch.inference_mode():
        return list(layer(torch.zeros(1, 3, 200, 200)).shape)

def in_thread():
    results = []
    thread = threading.Thread(target=lambda: results.append(1))
    thread.start(); thread.join()
    return results

attempts = {
    "read the bundle": lambda: Path(bundle, "model").read_text(),
    "list the bundle": lambda: os.listdir(bundle),
    "convolve with two threads": convolve,
    "start a thread": in_thread,
    "read /etc/passwd": lambda: Path("/etc/passwd").read_text(),
    "read a file outside": lambda: Path(secret).read_text(),
    "list a folder outside": lambda: os.listdir(Path(secret).parent),
    "read another process's environment": lambda: Path(f"/proc/{parent}/environ").read_bytes(),
    "write into the bundle": lambda: Path(bundle, "new").write_text("x"),
    "write a file outside": lambda: Path(target).write_text("x"),
    "make a file in /tmp": lambda: Path("/tmp/derm-pacs-must-not-be").write_text("x"),
    "truncate by path": lambda: os.truncate(target, 0),
    "remove a file": lambda: os.remove(target),
    "rename a file": lambda: os.rename(target, target + "2"),
    "change a mode": lambda: os.chmod(target, 0o777),
    "change a mode by descriptor": lambda: os.fchmod(held, 0o777),
    "set times": lambda: os.utime(target),
    "make a socket": lambda: socket.socket(),
    "make a Unix socket": lambda: socket.socket(socket.AF_UNIX),
    "connect a socket made before": lambda: loose.connect(("127.0.0.1", int(port))),
    "start a program": lambda: subprocess.run(["/bin/true"]),
    "replace itself": lambda: os.execv("/bin/true", ["true"]),
    "fork": lambda: os._exit(0) if os.fork() == 0 else None,
    "signal the parent": lambda: os.kill(int(parent), 0),
    "use clone3": lambda: call(435, None, 0),
    "hold a process by descriptor": lambda: call(434, int(parent), 0),
    "trace the parent": lambda: call(101, 16, int(parent), 0, 0),
    "use io_uring": lambda: call(425, 1, None),
    "open by openat2": lambda: call(437, -100, b"/etc/passwd", None, 0),
    "make a namespace": lambda: call(272, 0x10000000),
    "raise a limit": lambda: __import__("resource").setrlimit(__import__("resource").RLIMIT_FSIZE, (99, 99)),
    "become another user": lambda: os.setuid(65534),
    "write a large file by an open descriptor": lambda: os.write(os.memfd_create("m"), b"x" * 10),
}
results = {}
for name, attempt in attempts.items():
    try:
        results[name] = ["allowed", repr(attempt())[:60]]
    except BaseException as error:
        results[name] = ["refused", type(error).__name__ + ": " + str(error)[:100]]
print(json.dumps({"state": state.model_dump(), "results": results}), flush=True)
os._exit(0)
"""

ALLOWED = {"read the bundle", "list the bundle", "convolve with two threads", "start a thread"}
BY_LANDLOCK = {
    "read /etc/passwd",
    "read a file outside",
    "list a folder outside",
    "read another process's environment",
}


@pytest.fixture(scope="module")
def confined(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("confined")
    (folder / "bundle").mkdir()
    (folder / "bundle" / "model").write_text("numbers")
    (folder / "secret").write_text("not for bundles")
    (folder / "target").write_text("keep me")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        ran = subprocess.run(
            [sys.executable, "-I", "-c", ATTEMPTS, folder / "bundle", folder / "secret", folder / "target",
             str(listening.getsockname()[1]), str(os.getpid())],
            capture_output=True, text=True, timeout=120, check=False,
            env={"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert (folder / "target").read_text() == "keep me"
    assert not Path("/tmp/derm-pacs-must-not-be").exists()
    said: dict[str, Any] = json.loads(ran.stdout)
    return said


@pytest.mark.parametrize("attempt", sorted(ALLOWED))
def test_a_confined_process_can_do_its_work(confined: dict[str, Any], attempt: str) -> None:
    assert confined["results"][attempt][0] == "allowed", confined["results"][attempt]


def test_a_confined_process_can_do_nothing_else(confined: dict[str, Any]) -> None:
    expected = set(confined["results"]) - ALLOWED - (BY_LANDLOCK if abi() == 0 else set())
    assert len(expected) > 20
    done = {name: said for name, said in confined["results"].items() if name in expected and said[0] == "allowed"}
    assert not done


def test_it_says_which_layers_are_in_force(confined: dict[str, Any]) -> None:
    assert confined["state"] == {"no_new_privileges": True, "seccomp": True, "landlock_abi": abi()}


def test_refusals_are_by_permission_not_by_accident(confined: dict[str, Any]) -> None:
    wrong = {
        name: said[1]
        for name, said in confined["results"].items()
        if said[0] == "refused"
        and not said[1].startswith("PermissionError")
        and "Function not implemented" not in said[1]
        and "Operation not permitted" not in said[1]
        and name not in {"write a large file by an open descriptor", "raise a limit"}
    }
    assert not wrong


def test_a_process_with_threads_is_not_confined_but_refused() -> None:
    script = (
        "import threading, time\nfrom pathlib import Path\nfrom derm_pacs.inference.confine import confine\n"
        "threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"
        "try:\n    confine([], address_space=2**40)\nexcept RuntimeError as error:\n    print(error)\n"
    )
    ran = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, text=True, timeout=60, check=False,
                         env={"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"})  # fmt: skip
    assert "2 threads run before confinement" in ran.stdout

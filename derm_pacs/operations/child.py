"""Starting a child process that ends with its parent: exec, a session of its own, a signal when the parent dies."""

import ctypes
import os
import pwd
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)


def start(
    arguments: Sequence[str | Path],
    *,
    when_parent_dies: signal.Signals,
    user: str | None = None,
    environment: Mapping[str, str] | None = None,
    output: IO[bytes] | None = None,
) -> subprocess.Popen[bytes]:
    """Start a program that gets `when_parent_dies` if this process is killed.

    To be called from the main thread: the kernel sends the signal when the *thread* that started the child ends
    (prctl(2), PR_SET_PDEATHSIG). `user` is set before the signal is asked for, since a change of user clears it.
    """
    parent = os.getpid()

    def ask_for_signal() -> None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, when_parent_dies)
        if os.getppid() != parent:  # the parent died before the signal was asked for
            os.kill(os.getpid(), when_parent_dies)

    return subprocess.Popen(
        [str(argument) for argument in arguments],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT if output is not None else None,
        start_new_session=True,
        user=user,
        group=pwd.getpwnam(user).pw_gid if user is not None else None,
        extra_groups=[] if user is not None else None,
        env=dict(environment) if environment is not None else None,
        preexec_fn=ask_for_signal,  # noqa: PLW1509 children are started from the only thread
    )


def stop(child: subprocess.Popen[bytes], *, first: signal.Signals, grace_seconds: float) -> int:
    """Send `first`, wait for the grace period, then kill; return the exit status."""
    if child.poll() is None:
        child.send_signal(first)
        try:
            child.wait(grace_seconds)
        except subprocess.TimeoutExpired:
            child.kill()
    return child.wait()

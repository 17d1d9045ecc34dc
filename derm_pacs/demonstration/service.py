"""The service of the demonstration: the real `derm-pacs serve`, with settings, folder and bundles of its own."""

import json
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from derm_pacs.demonstration.failure import DemonstrationError
from derm_pacs.operations import child
from derm_pacs.settings.model import Settings
from derm_pacs.settings.write import to_toml

ACTOR = "demo"
START_SECONDS = 120.0
_STOP_SECONDS = 200.0
_ROOM_FOR_A_SOCKET = 60
"""Characters of a data folder up to which the database's socket below it is not too long (unix(7): 107)."""
_FAR_PREFIX = "derm-pacs-demo-"


def data_folder(near: Path, user: str) -> Path:
    """Return an empty data folder: `near`, or one below /var/tmp with a link from `near` to it.

    Root's database runs as `user`, who must be able to enter every parent folder, and a socket's path is short.
    What an earlier demonstration left at `near` is removed.
    """
    _remove(near)
    reachable = os.geteuid() != 0 or all(one.stat().st_mode & stat.S_IXOTH for one in near.resolve().parents if one.exists())
    if reachable and len(str(near.resolve())) <= _ROOM_FOR_A_SOCKET:
        near.mkdir(parents=True, mode=0o755)
        return near.resolve()
    far = Path(tempfile.mkdtemp(prefix=_FAR_PREFIX, dir="/var/tmp"))
    if os.geteuid() == 0:
        if not _exists(user):
            far.rmdir()
            raise DemonstrationError(f"the user {user} is missing; make it: deploy/system-user.sh {user}")
        far.chmod(0o755)
    near.parent.mkdir(parents=True, exist_ok=True)
    near.symlink_to(far)
    return far


def _exists(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True


def _remove(near: Path) -> None:
    if near.is_symlink():
        far = near.resolve()
        if far.parent == Path("/var/tmp") and far.name.startswith(_FAR_PREFIX):  # noqa: S108 - made by mkdtemp above
            shutil.rmtree(far, ignore_errors=True)
        near.unlink()
    elif near.exists():
        shutil.rmtree(near)


class Service:
    """The running service, as a context manager; its log is the file `log`."""

    def __init__(self, settings: Settings, config: Path, log: Path) -> None:
        self.settings = settings
        self.config = config
        self.log = log
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Write the settings and start the service; it may not be ready yet."""
        if os.geteuid() == 0 and not _exists(self.settings.database.run_as):
            raise DemonstrationError(
                f"the user {self.settings.database.run_as} is missing, as which root's database runs; make it: deploy/system-user.sh"
            )
        self.config.write_text(to_toml(self.settings), encoding="utf-8")
        with self.log.open("wb") as log:
            self._process = child.start(
                [sys.executable, "-m", "derm_pacs", "serve", "--config", self.config],
                when_parent_dies=signal.SIGTERM,
                output=log,
            )
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop the service in its own order."""
        if self._process is not None:
            child.stop(self._process, first=signal.SIGTERM, grace_seconds=_STOP_SECONDS)

    def check_running(self) -> None:
        """Raise `DemonstrationError` with the end of the log where the service has ended."""
        if self._process is not None and self._process.poll() is not None:
            raise DemonstrationError(f"the service ended with status {self._process.returncode}; its log {self.log} ends:\n{self._log_end()}")

    def wait_until_ready(self, answers: Callable[[], bool]) -> None:
        """Wait until `answers` says so and the ledger is there: the listener takes studies before that.

        Raises `DemonstrationError` where that does not come to pass in time.
        """
        last = time.monotonic() + START_SECONDS
        while time.monotonic() < last:
            self.check_running()
            if answers() and self._has_ledger():
                return
            time.sleep(0.2)
        raise DemonstrationError(f"the service was not ready within {START_SECONDS:.0f} s; its log {self.log} ends:\n{self._log_end()}")

    def _has_ledger(self) -> bool:
        """Whether the processes run that the supervisor starts when the ledger is migrated and answers."""
        try:
            running = json.loads((self.settings.run_dir / "processes.json").read_text(encoding="ascii"))
        except FileNotFoundError:
            return False
        return "worker-0" in running

    def command(self, *arguments: str) -> str:
        """Run a command of `derm-pacs` on the service's settings and return what it prints.

        Raises `DemonstrationError` with what the command says where it fails.
        """
        asked = subprocess.run(
            [sys.executable, "-m", "derm_pacs", *arguments, "--config", str(self.config)],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if asked.returncode != 0:
            raise DemonstrationError(f"derm-pacs {' '.join(arguments)}: {(asked.stderr or asked.stdout).strip()}")
        return asked.stdout

    def _log_end(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-12:])

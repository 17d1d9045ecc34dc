"""A hospital for the tests of the whole way: a real PACS (Orthanc), the real service, real sockets.

The service's processes are the product's own; `kill` ends one of them by SIGKILL. At which line of its code a process
is ended, `killing/sitecustomize.py` decides.
"""

import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import pydicom
from pynetdicom import AE
from sqlalchemy.orm import Session

from derm_pacs.cli.exit_codes import ExitCode
from derm_pacs.cli.main import run
from derm_pacs.demonstration.orthanc import Orthanc
from derm_pacs.domain.case import ENDS, State
from derm_pacs.domain.errors import Transient
from derm_pacs.domain.marks import MANUFACTURER
from derm_pacs.ledger import reading
from derm_pacs.ledger.database import Database
from derm_pacs.ledger.reading import CaseStory
from derm_pacs.operations.postgres import ledger_url
from derm_pacs.settings.read import read

T = TypeVar("T")

VERIFICATION = "1.2.840.10008.1.1"

AE_TITLE = "DERMPACS"
DERMOSCOPIC = "1.2.840.10008.5.1.4.1.1.77.1.7"
PHOTOGRAPHIC = "1.2.840.10008.5.1.4.1.1.77.1.4"

SETTINGS = """
facility = "Test hospital"
timezone = "Europe/Berlin"
data_dir = "{data}"
[database]
{database}
[listener]
ae_title = "DERMPACS"
port = {port}
[spool]
segment_megabytes = 64
disk_reserve_megabytes = {reserve}
[study]
quiet_seconds = {quiet}
cap_seconds = 600.0
[delivery]
deadline_minutes = {deadline}
commitment_minutes = 3.0
[[peers]]
name = "pacs"
ae_title = "ORTHANC"
host = "127.0.0.1"
port = {pacs_port}
may_send = true
[[peers]]
name = "camera"
ae_title = "CAMERA"
may_send = true
[[destinations]]
name = "pacs"
peer = "pacs"
"""

ROUTES = """
[[routes]]
name = "dermoscopy"
sop_classes = ["{dermoscopic}"]
bundles = {dermoscopic_bundles}
destinations = ["pacs"]
[[routes]]
name = "photographs"
sop_classes = ["{photographic}"]
bundles = {photographic_bundles}
destinations = ["pacs"]
"""


def free_port() -> int:
    """Return a loopback port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(what: str, look: Callable[[], T | None], *, within: float = 90.0) -> T:
    """Return the first value that `look` finds; what lies behind processes of others cannot be awaited otherwise."""
    end = time.monotonic() + within
    while True:
        found = look()
        if found is not None:
            return found
        assert time.monotonic() < end, f"not within {within:.0f} s: {what}"
        time.sleep(0.1)


def _story(tx: Session, study_uid: str) -> CaseStory | None:
    case_id = reading.case_id_of(tx, study_uid)
    return reading.story(tx, case_id) if case_id is not None else None


class Hospital:
    """The service and its PACS in one folder."""

    def __init__(
        self,
        folder: Path,
        bundles: Mapping[str, Path],
        *,
        routes: str | None = None,
        route_back: bool = False,
        quiet: float = 1.0,
        deadline: float = 30.0,
        database: str = 'run_as = "nobody"',
        reserve: int = 100,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.bundles = dict(bundles)
        self._routes = routes
        self.port = free_port()
        self.data = folder / "data"
        self.config = folder / "derm-pacs.toml"
        self.log = folder / "service.log"
        self.orthanc = Orthanc(
            folder / "pacs", modalities={"derm": (AE_TITLE, self.port)}, route_back=route_back
        )
        self._quiet, self._deadline, self._reserve = quiet, deadline, reserve
        self._database = database
        self._environment = {**os.environ, "OMP_NUM_THREADS": "1", **(environment or {})}
        self._service: subprocess.Popen[bytes] | None = None
        self._read: Database | None = None

    def __enter__(self) -> Self:
        """Start everything, with the bundles installed and active."""
        self.orthanc.start()
        try:
            self.write_settings()
            self.start()
            self.install_bundles()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop everything."""
        self.close()

    def close(self) -> None:
        """Stop everything that this hospital started."""
        if self._read is not None:
            self._read.close()
        self.stop()
        self.orthanc.stop()

    def write_settings(self) -> None:
        """Write the settings file; where no routes were given, segmentation bundles read photographs too."""
        masks = [name for name in self.bundles if "lesion" in name]
        text = SETTINGS.format(
            data=self.data, database=self._database, port=self.port, reserve=self._reserve, quiet=self._quiet,
            deadline=self._deadline, pacs_port=self.orthanc.dicom_port,
        )
        if self._routes is not None:
            text += self._routes
        elif self.bundles:
            text += ROUTES.format(
                dermoscopic=DERMOSCOPIC, photographic=PHOTOGRAPHIC,
                dermoscopic_bundles=json.dumps(list(self.bundles)), photographic_bundles=json.dumps(masks),
            )
        self.config.write_text(text)

    # The service

    def start(self, *, first: str = "worker-0") -> None:
        """Start `derm-pacs serve` and wait until the listener answers and the process `first` runs."""
        with self.log.open("ab") as log:
            self._service = subprocess.Popen(
                [sys.executable, "-m", "derm_pacs", "serve", "--config", str(self.config)],
                stdout=log, stderr=log, env=self._environment,
            )
        wait_for("the service answers", self._answers_while_running, within=180)
        wait_for("all processes run", lambda: self.processes().get(first), within=180)

    def _answers_while_running(self) -> bool | None:
        assert self._service is not None
        assert self._service.poll() is None, f"the service ended: {self.log.read_text()[-3000:]}"
        return self.answers()

    def stop(self) -> None:
        """Stop the service as an admin would, by SIGTERM."""
        if self._service is not None:
            self._service.terminate()
            try:
                self._service.wait(90)
            except subprocess.TimeoutExpired:
                self._service.kill()
                self._service.wait()
            self._service = None

    def kill_service(self) -> None:
        """End the supervisor by SIGKILL; its children end with it."""
        assert self._service is not None
        self._service.kill()
        self._service.wait()
        self._service = None

    def processes(self) -> dict[str, int]:
        """Return the process ids of the service by name."""
        try:
            return dict(json.loads((self.data / "run" / "processes.json").read_text()))
        except FileNotFoundError:
            return {}

    def kill(self, name: str) -> int:
        """End a process of the service by SIGKILL; returns its process id."""
        pid = self.processes()[name]
        os.kill(pid, signal.SIGKILL)
        return pid

    def answers(self) -> bool | None:
        """Whether the listener answers a C-ECHO; None where it does not."""
        ae = AE(ae_title="CAMERA")
        ae.add_requested_context(VERIFICATION)
        ae.connection_timeout = 2
        association = ae.associate("127.0.0.1", self.port, ae_title=AE_TITLE)
        if not association.is_established:
            return None
        status = association.send_c_echo()
        association.release()
        return True if status and status.Status == 0 else None

    def cli(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the product on this hospital's settings."""
        return subprocess.run(
            [sys.executable, "-m", "derm_pacs", *arguments, "--config", str(self.config)],
            capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"},
        )

    def install_bundles(self) -> None:
        """Install and activate the bundles by the product's own commands, in this process, which has loaded them already."""
        for name, folder in self.bundles.items():
            version = json.loads((folder / "configs" / "serving.json").read_text())["version"]
            for command in (("install", str(folder)), ("activate", name, version)):
                arguments = ("bundles", *command, "--actor", "tester", "--reason", "acceptance", "--config", str(self.config))
                assert run(arguments) == ExitCode.OK, arguments

    # The ledger

    @property
    def database(self) -> Database:
        """The service's ledger."""
        settings = read(self.config)
        return Database(ledger_url(settings), patience_seconds=20)

    def story(self, study_uid: str) -> CaseStory | None:
        """Return the story of a study's case, None where the ledger has none yet or is away.

        Asked ten times a second while something is awaited: a connection of its own for each time would keep a core busy.
        """
        if self._read is None:
            self._read = self.database
        try:
            return self._read.transaction(lambda tx: _story(tx, study_uid))
        except Transient:
            return None

    def wait_for_end(self, study_uid: str, *, revision: int = 1, within: float = 120.0) -> CaseStory:
        """Return the story once that revision has ended."""

        def ended() -> CaseStory | None:
            story = self.story(study_uid)
            if story is None:
                return None
            states = {one.number: State(one.state) for one in story.revisions}
            return story if states.get(revision) in ENDS else None

        return wait_for(f"revision {revision} of {study_uid} ends", ended, within=within)

    # The PACS

    def send(self, instances: Sequence[pydicom.Dataset], *, calling: str = "CAMERA") -> list[int]:
        """Send instances to the listener as a camera would; returns the DIMSE statuses, 0xFFFF where there was none."""
        ae = AE(ae_title=calling)
        for one in instances:
            if (str(one.SOPClassUID), str(one.file_meta.TransferSyntaxUID)) not in {
                (str(c.abstract_syntax), str(c.transfer_syntax[0])) for c in ae.requested_contexts
            }:
                ae.add_requested_context(one.SOPClassUID, one.file_meta.TransferSyntaxUID)
        association = ae.associate("127.0.0.1", self.port, ae_title=AE_TITLE)
        if not association.is_established:
            return [0xFFFF] * len(instances)
        statuses = []
        for one in instances:
            status = association.send_c_store(one)
            statuses.append(int(status.Status) if status else 0xFFFF)
        association.release()
        return statuses

    def put_into_pacs(self, instances: Sequence[pydicom.Dataset]) -> None:
        """Store the originals in the PACS, as it has them in a hospital."""
        for one in instances:
            self.orthanc.store(as_bytes(one))

    def results(self, study_uid: str) -> list[pydicom.Dataset]:
        """Return what is in the PACS of a study and says that we made it."""
        found = [pydicom.dcmread(io.BytesIO(data)) for data in self.orthanc.instances(study_uid).values()]
        return [one for one in found if any(item.get("Manufacturer") == MANUFACTURER for item in one.get("ContributingEquipmentSequence", []))]


def as_bytes(dataset: pydicom.Dataset) -> bytes:
    """Return the Part 10 file of a data set."""
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()

"""A private Orthanc: a real PACS for the demonstration and for tests, with DICOM and REST on the loopback interface only.

Debian's Orthanc listens on every address. Where this user may make a network namespace, it runs in one of its own, and
relays join its two ports to the loopback interface of the machine and the ports of its peers back; where not, it runs
plainly, and `isolated` says so.
"""

import base64
import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Self

from derm_pacs.demonstration.inside import Errand
from derm_pacs.demonstration.relay import LOOPBACK, RelayThread, listen

START_SECONDS = 60.0
_POLL_SECONDS = 0.05
_ANSWER_SECONDS = 60.0
_FIRST_ANSWER_SECONDS = 5.0
"""Of one question while it starts: a connection that came too early may never be answered, the next one is."""
_STOP_SECONDS = 20.0
_ROUTE_BACK = """-- Sends every instance that arrives on to every modality, whoever sent it: the loop that a PACS may be set to.
function OnStoredInstance(instanceId, tags, metadata, origin)
  for _, modality in ipairs({%s}) do
    SendToModality(instanceId, modality)
  end
end
"""


class OrthancError(Exception):
    """The private Orthanc cannot be started, or refused what was asked."""


def program() -> str | None:
    """Return the path of the Orthanc program, None where it is not installed."""
    return shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin:/usr/local/sbin")


def namespace_command() -> tuple[str, ...] | None:
    """Return the command that runs another one in a network namespace of its own, None where this user may make none."""
    for command in (("unshare", "--net"), ("unshare", "--map-root-user", "--net")):
        if shutil.which(command[0]) is None:
            return None
        tried = subprocess.run([*command, "true"], stdin=subprocess.DEVNULL, capture_output=True, check=False)
        if tried.returncode == 0:
            return command
    return None


def _free_port() -> int:
    with listen(0) as probe:
        return int(probe.getsockname()[1])


def dicomweb_plugin() -> Path | None:
    """Return the plugin that adds DICOMweb, None where it is not installed."""
    path = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
    return path if path.exists() else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Web:
    """DICOMweb beside the REST interface, both for who knows the password only.

    Without TLS: Debian's Orthanc 1.10.1 ends by a segmentation fault at the first request that comes by it.
    """

    user: str
    password: str = field(repr=False)


class Orthanc:
    """An Orthanc of our own, as a context manager; `start` after `stop` brings the same PACS back on the same ports.

    Ports given as 0 are chosen. `modalities` names the peers: name → (AE title, port on this machine's loopback
    interface). With `route_back` it sends everything that arrives on to all of them, with `web` it speaks DICOMweb too.
    """

    def __init__(
        self,
        storage_dir: Path,
        dicom_port: int = 0,
        http_port: int = 0,
        ae_title: str = "ORTHANC",
        *,
        modalities: Mapping[str, tuple[str, int]] = MappingProxyType({}),
        route_back: bool = False,
        web: Web | None = None,
    ) -> None:
        self.storage_dir = storage_dir
        self.dicom_port = dicom_port
        self.http_port = http_port
        self.ae_title = ae_title
        self.isolated = False
        """Whether it runs in a network namespace of its own; False: it listens on every address of the machine."""
        self._modalities = dict(modalities)
        self._route_back = route_back
        self._web = web
        self._process: subprocess.Popen[bytes] | None = None
        self._relays: RelayThread | None = None
        self._run_dir: Path | None = None

    def __enter__(self) -> Self:
        """Start and wait until it answers."""
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop; what is stored stays in `storage_dir`."""
        self.stop()

    @property
    def pid(self) -> int:
        """The process to watch; raises `OrthancError` where none runs."""
        if self._process is None:
            raise OrthancError("Orthanc is not running")
        return self._process.pid

    @property
    def url(self) -> str:
        """Address of the REST interface, without a slash at its end."""
        return f"http://{LOOPBACK}:{self.http_port}"

    @property
    def dicomweb_url(self) -> str:
        """Address of the DICOMweb service."""
        return f"{self.url}/dicom-web"

    @property
    def log(self) -> Path:
        """What Orthanc writes of its work."""
        return self.storage_dir / "orthanc.log"

    def start(self) -> None:
        """Start and wait until REST answers; raises `OrthancError` with the end of the log where it does not."""
        executable = program()
        if executable is None:
            raise OrthancError("Orthanc is not installed; on Debian: apt-get install orthanc")
        self.storage_dir.mkdir(parents=True, exist_ok=True)
        self._run_dir = Path(tempfile.mkdtemp(prefix="derm-pacs-orthanc-"))  # short: a socket's path has 107 bytes
        entry = namespace_command()
        self.isolated = entry is not None
        try:
            into, out_of = self._join_namespace() if self.isolated else ((), ())
            if not self.isolated:
                self.dicom_port = self.dicom_port or _free_port()
                self.http_port = self.http_port or _free_port()
            errand = Errand(
                command=(executable, str(self._write_configuration())),
                raise_loopback=self.isolated,
                into=into,
                out_of=out_of,
            )
            with self.log.open("ab") as log:
                self._process = subprocess.Popen(
                    [*(entry or ()), sys.executable, "-m", "derm_pacs.demonstration.inside", errand.to_json()],
                    stdin=subprocess.PIPE,  # kept open: its end tells the program that we are gone
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            self._wait_until_ready()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop and free the ports; nothing happens where it does not run."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            if self._process.stdin is not None:
                self._process.stdin.close()
            self._process = None
        if self._relays is not None:
            self._relays.close()
            self._relays = None
        if self._run_dir is not None:
            shutil.rmtree(self._run_dir, ignore_errors=True)
            self._run_dir = None

    def rest(self, path: str, body: object | None = None, *, method: str | None = None) -> Any:
        """Return the JSON answer of a REST path such as "/studies"; a body (JSON or bytes) is posted.

        Raises `OrthancError` with the status where Orthanc refuses.
        """
        answer = self.raw(path, body, method=method)
        return json.loads(answer) if answer else None

    def raw(self, path: str, body: object | None = None, *, method: str | None = None, within: float = _ANSWER_SECONDS) -> bytes:
        """Return the bytes that a REST path answers; a body (JSON or bytes) is posted. `within` seconds each read must come."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, method=method)  # noqa: S310 - our own loopback address
        if self._web is not None:
            known = base64.b64encode(f"{self._web.user}:{self._web.password}".encode()).decode()
            request.add_header("Authorization", f"Basic {known}")
        try:
            with urllib.request.urlopen(request, timeout=within) as answer:  # noqa: S310 - the same
                return bytes(answer.read())
        except urllib.error.HTTPError as error:
            raise OrthancError(f"Orthanc answers {error.code} to {path}: {error.read()[:400]!r}") from error
        except OSError as error:
            raise OrthancError(f"Orthanc does not answer at {self.url}: {error}") from error

    def store(self, part10: bytes) -> str:
        """Put a DICOM file in by REST; returns Orthanc's word, "Success" or "AlreadyStored"."""
        return str(self.rest("/instances", part10)["Status"])

    def echo(self, modality: str) -> bool:
        """Return whether a modality answers a C-ECHO of this PACS."""
        try:
            self.rest(f"/modalities/{modality}/echo", {})
        except OrthancError:
            return False
        return True

    def send_study(self, study_uid: str, to: str) -> None:
        """Send a stored study to a modality by C-STORE and wait for its end; raises `OrthancError` where it fails."""
        self.rest(f"/modalities/{to}/store", {"Resources": [self._study(study_uid)], "Synchronous": True})

    def instances(self, study_uid: str) -> Mapping[str, bytes]:
        """Return the DICOM files that Orthanc keeps of a study, by SOP Instance UID; empty for an unknown study."""
        if not self._lookup(study_uid):
            return {}
        rows = self.rest(f"/studies/{self._study(study_uid)}/instances")
        return {row["MainDicomTags"]["SOPInstanceUID"]: self.raw(f"/instances/{row['ID']}/file") for row in rows}

    def _lookup(self, study_uid: str) -> list[str]:
        return [row["ID"] for row in self.rest("/tools/lookup", study_uid.encode()) if row["Type"] == "Study"]

    def _study(self, study_uid: str) -> str:
        found = self._lookup(study_uid)
        if not found:
            raise OrthancError(f"Orthanc has no study {study_uid}")
        return found[0]

    def _join_namespace(self) -> tuple[tuple[tuple[str, int], ...], tuple[tuple[int, str], ...]]:
        """Bind our side of the relays; the ports in the namespace have the same numbers as outside."""
        run_dir = self._run_dir
        if run_dir is None:
            raise OrthancError("Orthanc is not being started")
        self._relays = RelayThread()
        into: list[tuple[str, int]] = []
        sockets: list[socket.socket] = [listen(self.dicom_port), listen(self.http_port)]
        self.dicom_port, self.http_port = (int(one.getsockname()[1]) for one in sockets)
        for listening, port in zip(sockets, (self.dicom_port, self.http_port), strict=True):
            path = run_dir / f"in-{port}"
            self._relays.port_to_socket(listening, path)
            into.append((str(path), port))
        out_of: list[tuple[int, str]] = []
        for port in sorted({port for _, port in self._modalities.values()}):
            path = run_dir / f"out-{port}"
            self._relays.socket_to_port(path, port)
            out_of.append((port, str(path)))
        return tuple(into), tuple(out_of)

    def _write_configuration(self) -> Path:
        run_dir = self._run_dir
        if run_dir is None:
            raise OrthancError("Orthanc is not being started")
        scripts = []
        if self._route_back:
            script = run_dir / "route-back.lua"
            script.write_text(_ROUTE_BACK % ", ".join(json.dumps(name) for name in self._modalities))
            scripts.append(str(script))
        configuration = run_dir / "orthanc.json"
        configuration.write_text(json.dumps({
            "Name": "derm-pacs demonstration",
            "StorageDirectory": str(self.storage_dir / "objects"),
            "IndexDirectory": str(self.storage_dir / "index"),
            "HttpServerEnabled": True,
            "HttpPort": self.http_port,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": False,
            "DicomServerEnabled": True,
            "DicomAet": self.ae_title,
            "DicomPort": self.dicom_port,
            "DicomModalities": {
                name: {"AET": ae_title, "Host": LOOPBACK, "Port": port}
                for name, (ae_title, port) in self._modalities.items()
            },
            "LuaScripts": scripts,
            "SaveJobs": False,
            "Plugins": [],
            **self._web_configuration(),
        }))  # fmt: skip
        return configuration

    def _web_configuration(self) -> dict[str, object]:
        if self._web is None:
            return {}
        return {
            "AuthenticationEnabled": True,
            "RegisteredUsers": {self._web.user: self._web.password},
            "Plugins": [str(dicomweb_plugin())],
            "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
        }

    def _wait_until_ready(self) -> None:
        last = time.monotonic() + START_SECONDS
        while time.monotonic() < last:
            if self._process is None or self._process.poll() is not None:
                raise OrthancError(f"Orthanc ended at once; its log ends:\n{self._log_end()}")
            try:
                self.raw("/system", within=_FIRST_ANSWER_SECONDS)
            except OrthancError:
                time.sleep(_POLL_SECONDS)
            else:
                return
        raise OrthancError(f"Orthanc did not answer within {START_SECONDS:.0f} s; its log ends:\n{self._log_end()}")

    def _log_end(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])

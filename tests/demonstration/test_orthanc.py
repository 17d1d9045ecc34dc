"""The private Orthanc: a real PACS that others can rely on, and that leaves nothing behind."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import Dataset, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, VLPhotographicImageStorage, generate_uid
from pynetdicom import AE, evt

from derm_pacs.demonstration import orthanc as orthanc_module
from derm_pacs.demonstration.orthanc import Orthanc, OrthancError, namespace_command, program

pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif(program() is None, reason="Orthanc is not installed (make test installs it)"),
]


def tiny_photograph() -> tuple[str, str, bytes]:
    """The smallest photograph that a PACS takes: (Study Instance UID, SOP Instance UID, Part 10 file)."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = VLPhotographicImageStorage
    ds.SOPInstanceUID, ds.SeriesInstanceUID, ds.StudyInstanceUID = (generate_uid(prefix=None) for _ in range(3))
    ds.PatientID, ds.PatientName, ds.Modality = "TINY", "SYNTHETIC^TINY", "XC"
    ds.Rows = ds.Columns = 4
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PlanarConfiguration = 3, "RGB", 0
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 8, 8, 7, 0
    ds.PixelData = bytes(range(48))
    buffer = BytesIO()
    dcmwrite(buffer, ds, enforce_file_format=True)
    return str(ds.StudyInstanceUID), str(ds.SOPInstanceUID), buffer.getvalue()


def eventually(happens: Callable[[], bool], seconds: float = 20.0) -> bool:
    last = time.monotonic() + seconds
    while time.monotonic() < last:
        if happens():
            return True
        time.sleep(0.05)
    return happens()


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def echo(port: int, called: str) -> int | None:
    ae = AE(ae_title="TESTER")
    ae.add_requested_context("1.2.840.10008.1.1")  # Verification
    association = ae.associate("127.0.0.1", port, ae_title=called)
    if not association.is_established:
        return None
    status = association.send_c_echo()
    association.release()
    return int(status.Status)


@pytest.fixture
def receiver() -> Iterator[tuple[int, list[str]]]:
    """A listener on this machine, outside Orthanc's namespace; the SOP Instance UIDs that it was sent."""
    received: list[str] = []

    def stored(event: evt.Event) -> int:
        received.append(str(event.dataset.SOPInstanceUID))
        return 0

    ae = AE(ae_title="RECEIVER")
    ae.add_supported_context(VLPhotographicImageStorage)
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, stored)])
    assert server is not None and server.socket is not None
    yield int(server.socket.getsockname()[1]), received
    server.shutdown()


def test_it_answers_by_dicom_and_by_rest_as_soon_as_it_is_entered(tmp_path: Path) -> None:
    with Orthanc(tmp_path, ae_title="ASKME") as orthanc:
        assert echo(orthanc.dicom_port, "ASKME") == 0
        assert orthanc.rest("/system")["DicomAet"] == "ASKME"


def test_a_stored_study_is_found_and_comes_back_byte_for_byte(tmp_path: Path) -> None:
    study, instance, part10 = tiny_photograph()
    with Orthanc(tmp_path) as orthanc:
        assert orthanc.store(part10) == "Success"
        assert orthanc.store(part10) == "AlreadyStored"
        assert orthanc.instances(study) == {instance: part10}
        assert orthanc.instances(UID("2.25.1")) == {}


def test_it_sends_a_study_to_a_peer_outside_its_namespace(tmp_path: Path, receiver: tuple[int, list[str]]) -> None:
    port, received = receiver
    study, instance, part10 = tiny_photograph()
    with Orthanc(tmp_path, modalities={"us": ("RECEIVER", port)}) as orthanc:
        orthanc.store(part10)
        assert received == []
        orthanc.send_study(study, "us")
        assert received == [instance]
        with pytest.raises(OrthancError, match=r"no study 2\.25\.7"):
            orthanc.send_study("2.25.7", "us")


def test_with_route_back_everything_that_arrives_goes_on_to_the_peer(
    tmp_path: Path, receiver: tuple[int, list[str]]
) -> None:
    port, received = receiver
    _, instance, part10 = tiny_photograph()
    with Orthanc(tmp_path, modalities={"us": ("RECEIVER", port)}, route_back=True) as orthanc:
        orthanc.store(part10)
        assert eventually(lambda: received == [instance])


def test_a_peer_that_is_away_is_an_error_and_not_a_hang(tmp_path: Path) -> None:
    study, _, part10 = tiny_photograph()
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        nobody = int(reserved.getsockname()[1])
    with Orthanc(tmp_path, modalities={"gone": ("GONE", nobody)}) as orthanc:
        orthanc.store(part10)
        with pytest.raises(OrthancError):
            orthanc.send_study(study, "gone")


@pytest.mark.skipif(namespace_command() is None, reason="this user may make no network namespace")
def test_in_its_namespace_it_is_reached_on_the_loopback_interface_only(tmp_path: Path) -> None:
    with Orthanc(tmp_path) as orthanc:
        assert orthanc.isolated
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        listening = {row[1] for row in rows if row[3] == "0A"}
        for port in (orthanc.dicom_port, orthanc.http_port):
            assert {address for address in listening if address.endswith(f":{port:04X}")} == {f"0100007F:{port:04X}"}


def test_after_stop_its_processes_and_ports_are_gone_and_start_brings_its_studies_back(tmp_path: Path) -> None:
    study, instance, part10 = tiny_photograph()
    orthanc = Orthanc(tmp_path)
    orthanc.start()
    try:
        orthanc.store(part10)
        ports = (orthanc.dicom_port, orthanc.http_port)
        pids = [orthanc.pid, *children(orthanc.pid)]
        assert len(pids) == 2
        orthanc.stop()
        assert not any(alive(pid) for pid in pids)
        for port in ports:
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port)).close()
        orthanc.start()
        assert (orthanc.dicom_port, orthanc.http_port) == ports
        assert list(orthanc.instances(study)) == [instance]
    finally:
        orthanc.stop()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_when_its_starter_dies_it_ends_too(tmp_path: Path, number: signal.Signals) -> None:
    program_text = (
        "import sys, time; from pathlib import Path; from derm_pacs.demonstration.orthanc import Orthanc\n"
        f"orthanc = Orthanc(Path({str(tmp_path)!r})); orthanc.start(); print(orthanc.pid, flush=True); time.sleep(300)"
    )
    with subprocess.Popen([sys.executable, "-c", program_text], stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        entry = int(starter.stdout.readline())
        pids = [entry, *children(entry)]
        os.kill(starter.pid, number)
    assert eventually(lambda: not any(alive(pid) for pid in pids))


def test_a_port_that_is_taken_is_told_and_leaves_nothing_running(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        orthanc = Orthanc(tmp_path, dicom_port=int(taken.getsockname()[1]))
        with pytest.raises(OSError, match="in use"):
            orthanc.start()
    with pytest.raises(OrthancError, match="not running"):
        _ = orthanc.pid


def test_a_first_connection_that_is_never_answered_does_not_cost_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fake stands for Orthanc: one that answers from the second connection on cannot be had on demand."""
    fake = tmp_path / "orthanc"
    fake.write_text(
        f"#!{sys.executable}\n"
        "import json, socket, sys\n"
        "listening = socket.create_server(('127.0.0.1', json.load(open(sys.argv[1]))['HttpPort']))\n"
        "unanswered = listening.accept()\n"
        "while True:\n"
        "    connection, _ = listening.accept()\n"
        "    connection.recv(4096)\n"
        "    connection.sendall(b'HTTP/1.0 200 OK\\r\\n\\r\\n{}')\n"
        "    connection.close()\n"
    )
    fake.chmod(0o755)
    monkeypatch.setattr(orthanc_module, "program", lambda: str(fake))
    monkeypatch.setattr(orthanc_module, "_FIRST_ANSWER_SECONDS", 0.5)
    began = time.monotonic()
    with Orthanc(tmp_path / "pacs") as answering:
        assert answering.rest("/system") == {}
    assert time.monotonic() - began < 50

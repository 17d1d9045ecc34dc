"""How many objects a second the listener takes, beside DCMTK's storescp and Orthanc in the same run.

    python benchmarks/receive.py [--objects 200] [--associations 4] [--rounds 3] [--json]

Each round sends the same drawn photographs with the same sender to each receiver in turn; the figures are medians over
the rounds, and ratios to storescp in the same round. storescp syncs nothing to the disk; the listener and Orthanc do.
"""

import argparse
import importlib.metadata
import io
import json
import multiprocessing
import platform
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pydicom
from pynetdicom import AE

from derm_pacs.demonstration.orthanc import Orthanc
from derm_pacs.samples import studies

AE_TITLE = "BENCH"
LISTEN = """
import signal, sys, threading
from pathlib import Path
from derm_pacs.receive import listener
from derm_pacs.settings.model import Settings
stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
settings = Settings.model_validate({
    "data_dir": Path(sys.argv[1]),
    "listener": {"ae_title": "BENCH", "port": int(sys.argv[2]), "maximum_associations": 50},
    "spool": {"disk_reserve_megabytes": 100},
    "peers": [{"name": "sender", "ae_title": "SENDER", "may_send": True}],
})
listener.run(settings, index=0, stop=stop, ready=lambda: print("ready", flush=True))
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def the_listener(folder: Path) -> Iterator[int]:
    port = free_port()
    process = subprocess.Popen([sys.executable, "-c", LISTEN, str(folder), str(port)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "ready"
    yield port
    process.send_signal(signal.SIGTERM)
    process.wait(60)


@contextmanager
def storescp(folder: Path) -> Iterator[int]:
    port = free_port()
    command = ["storescp", "--fork", "+B", "+xa", "--promiscuous", "-aet", AE_TITLE, "-od", str(folder), str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for_port(port)
    yield port
    process.terminate()
    process.wait(60)


@contextmanager
def orthanc(folder: Path) -> Iterator[int]:
    with Orthanc(folder, ae_title=AE_TITLE) as pacs:
        yield pacs.dicom_port


def wait_for_port(port: int) -> None:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise SystemExit(f"nothing listens on port {port}")


def send(port: int, file: bytes, count: int) -> None:
    """Send `count` copies under new UIDs on one association, and end with a status other than 0 if one is refused."""
    dataset = pydicom.dcmread(io.BytesIO(file))
    ae = AE(ae_title="SENDER")
    ae.add_requested_context(dataset.SOPClassUID, dataset.file_meta.TransferSyntaxUID)
    association = ae.associate("127.0.0.1", port, ae_title=AE_TITLE)
    if not association.is_established:
        raise SystemExit(2)
    for _ in range(count):
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
        if association.send_c_store(dataset).Status != 0:
            raise SystemExit(3)
    association.release()


def objects_a_second(port: int, file: bytes, objects: int, associations: int) -> float:
    senders = [
        multiprocessing.get_context("spawn").Process(target=send, args=(port, file, objects // associations))
        for _ in range(associations)
    ]
    started = time.monotonic()
    for one in senders:
        one.start()
    for one in senders:
        one.join()
    if any(one.exitcode for one in senders):
        raise SystemExit("a sender was refused")
    return objects / (time.monotonic() - started)


RECEIVERS: dict[str, Callable[[Path], object]] = {"derm-pacs": the_listener, "storescp": storescp, "orthanc": orthanc}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=int, default=200)
    parser.add_argument("--associations", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    file = studies.make(studies.SAMPLES[0], datetime.now(UTC)).files[0]
    rates: dict[str, list[float]] = {name: [] for name in RECEIVERS}
    with tempfile.TemporaryDirectory(prefix="derm-bench-") as folder:
        for number in range(arguments.rounds):
            for name, start in RECEIVERS.items():
                own = Path(folder) / f"{name}-{number}"
                own.mkdir()
                with start(own) as port:  # type: ignore[attr-defined]
                    rates[name].append(objects_a_second(port, file, arguments.objects, arguments.associations))
    told = {
        "objects": arguments.objects, "associations": arguments.associations, "rounds": arguments.rounds,
        "bytes_per_object": len(file),
        "objects_per_second": {name: round(statistics.median(found), 1) for name, found in rates.items()},
        "ratio_to_storescp": {
            name: round(statistics.median(a / b for a, b in zip(found, rates["storescp"], strict=True)), 2)
            for name, found in rates.items()
        },
        "machine": f"{platform.machine()}, {multiprocessing.cpu_count()} cores, {platform.platform()}",
        "versions": {name: importlib.metadata.version(name) for name in ("derm-pacs", "pynetdicom", "pydicom")},
        "storescp": subprocess.run(["storescp", "--version"], capture_output=True, text=True, check=False).stdout.split("\n")[0],
    }
    if arguments.json:
        print(json.dumps(told, indent=2))
    else:
        for name, rate in told["objects_per_second"].items():  # type: ignore[attr-defined]
            print(f"{name:10} {rate:8.1f} objects/s   {told['ratio_to_storescp'][name]:5.2f} of storescp")  # type: ignore[index]


if __name__ == "__main__":
    if shutil.which("storescp") is None:
        raise SystemExit("storescp is missing; on Debian: apt-get install dcmtk")
    main()

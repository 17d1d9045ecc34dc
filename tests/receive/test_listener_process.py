"""A listener starts, shares its port, stops and is killed, and loses nothing that it has acknowledged."""

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE, evt

from derm_pacs.receive.listener import Listener, run
from derm_pacs.settings.model import ListenerSettings, Settings, SpoolSettings
from derm_pacs.settings.peers import Peer
from derm_pacs.spool.journal import Journal
from derm_pacs.spool.read import Position, records

pytestmark = pytest.mark.server

DERMOSCOPIC = "1.2.840.10008.5.1.4.1.1.77.1.7"
EXPLICIT = "1.2.840.10008.1.2.1"
MakeDataset = Callable[..., Dataset]
Encode = Callable[..., bytes]
Store = Callable[..., Dataset]
Bench = Any  # the class of tests/receive/conftest.py, which tests do not import


def test_a_stop_lets_running_associations_end_and_takes_no_new_one(
    bench: Bench, dataset: MakeDataset, encoded: Encode, store: Store
) -> None:
    bench.change(grace_seconds=30.0)
    listener = bench.listen()
    association = bench.associate(listener)
    stopping = threading.Thread(target=listener.stop)
    stopping.start()
    while True:
        try:
            socket.create_connection(("127.0.0.1", listener.port)).close()
        except OSError:
            break
    assert store(association, encoded(dataset())).Status == 0x0000
    association.release()
    stopping.join(20)
    assert not stopping.is_alive()
    assert len(bench.spooled()) == 1
    bench.stack.pop_all()


def test_a_stop_aborts_what_does_not_end_in_the_grace_period(bench: Bench) -> None:
    bench.change(grace_seconds=0.2)
    listener = bench.listen()
    aborted = threading.Event()
    sender = AE("SENDER")
    sender.add_requested_context(DERMOSCOPIC, EXPLICIT)
    handlers = [(evt.EVT_ABORTED, lambda event: aborted.set())]
    association = sender.associate("127.0.0.1", listener.port, ae_title="DERMPACS", evt_handlers=handlers)  # type: ignore[arg-type]
    assert association.is_established
    started = time.monotonic()
    listener.stop()
    assert aborted.wait(10)
    assert time.monotonic() - started < 5
    bench.stack.pop_all()


def test_two_listeners_share_a_port_and_have_a_spool_each(
    bench: Bench, dataset: MakeDataset, encoded: Encode, store: Store
) -> None:
    bench.change(share_port=True)
    first = bench.listen(0)
    bench.change(port=first.port)
    assert bench.listen(1).port == first.port
    for number in range(40):
        association = bench.associate(first)
        assert store(association, encoded(dataset(f"1.2.{number}")), uid=f"1.2.{number}").Status == 0x0000
        association.release()
    counts = [len(bench.spooled(index)) for index in (0, 1)]
    assert sum(counts) == 40
    assert min(counts) > 0


def test_without_sharing_a_second_listener_on_the_port_is_an_error(bench: Bench, listener: Listener) -> None:
    bench.change(port=listener.port)
    with pytest.raises(OSError, match="in use"):
        Listener(bench.policy, index=1)
    Listener(replace(bench.policy, port=0), index=1).stop()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_run_listens_by_the_settings_until_the_stop(
    tmp_path: Path, bench: Bench, dataset: MakeDataset, encoded: Encode, store: Store
) -> None:
    settings = Settings(
        data_dir=tmp_path,
        listener=ListenerSettings(port=free_port()),
        spool=SpoolSettings(disk_reserve_megabytes=1),
        peers=(Peer(name="pacs", ae_title="SENDER", may_send=True),),
    )
    stop, ready = threading.Event(), threading.Event()
    thread = threading.Thread(target=lambda: run(settings, index=3, stop=stop, ready=ready.set))
    thread.start()
    assert ready.wait(20)
    sender = AE("SENDER")
    sender.add_requested_context(DERMOSCOPIC, EXPLICIT)
    association = sender.associate("127.0.0.1", settings.listener.port, ae_title="DERMPACS")
    assert store(association, encoded(dataset())).Status == 0x0000
    association.release()
    stop.set()
    thread.join(20)
    assert not thread.is_alive()
    assert len(list(records(tmp_path / "spool" / "listener-3", Position(0, 0)))) == 1


PROCESS = """
import sys, threading
from pathlib import Path
from derm_pacs.receive.listener import Listener
from derm_pacs.receive.negotiate import ListenerPolicy

policy = ListenerPolicy(
    ae_title="DERMPACS", host="127.0.0.1", port=0, share_port=False, maximum_associations=20,
    callers=frozenset({"SENDER"}), senders=frozenset({"SENDER"}), spool_dir=Path(sys.argv[1]),
    segment_bytes=100_000, reserve_bytes=0,
)
listener = Listener(policy, index=0)
heavy = [name for name in ("torch", "monai", "sqlalchemy", "psycopg", "procrastinate") if name in sys.modules]
print(listener.port, *heavy, flush=True)
threading.Event().wait()
"""


def test_kill_minus_nine_of_the_listener_loses_no_acknowledged_object(
    tmp_path: Path, dataset: MakeDataset, encoded: Encode, store: Store
) -> None:
    acknowledged: list[str] = []
    with subprocess.Popen([sys.executable, "-c", PROCESS, str(tmp_path)], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        port = int(child.stdout.readline().split()[0])
        enough = threading.Event()

        def send(number: int) -> None:
            sender = AE("SENDER")
            sender.add_requested_context(DERMOSCOPIC, EXPLICIT)
            association = sender.associate("127.0.0.1", port, ae_title="DERMPACS")
            count = 0
            while association.is_established:
                uid = f"1.2.3.{number}.{count}"
                answered = store(association, encoded(dataset(uid)) + bytes(5000), uid=uid)
                if "Status" not in answered:
                    break
                assert answered.Status == 0x0000
                acknowledged.append(uid)
                if len(acknowledged) > 60:
                    enough.set()
                count += 1

        with ThreadPoolExecutor(4) as pool:
            senders = [pool.submit(send, number) for number in range(1, 5)]
            assert enough.wait(60)
            child.kill()
            for one in senders:
                one.result(60)
    Journal(tmp_path / "listener-0", segment_bytes=10**6, reserve_bytes=0).close()
    found = [one.header.sop_instance_uid for one in records(tmp_path / "listener-0", Position(0, 0))]
    assert set(acknowledged) <= set(found)
    assert len(found) <= len(acknowledged) + 4


def test_the_listener_starts_quickly_and_loads_neither_torch_nor_a_database(tmp_path: Path) -> None:
    started = time.monotonic()
    with subprocess.Popen([sys.executable, "-c", PROCESS, str(tmp_path)], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        said = child.stdout.readline().split()
        took = time.monotonic() - started
        child.kill()
    assert len(said) == 1, f"loaded: {said[1:]}"
    # About a second on a quiet machine; ten leave room for a busy one and still catch an import of torch.
    assert took < 10

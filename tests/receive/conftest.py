"""A running listener, data sets, and senders that send exactly the bytes given."""

import queue
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE

from derm_pacs.receive.listener import Listener
from derm_pacs.receive.negotiate import ListenerPolicy
from derm_pacs.spool.read import Position, SpooledRecord, payload, records

DERMOSCOPIC = "1.2.840.10008.5.1.4.1.1.77.1.7"


def make_dataset(uid: str = "1.2.3.4.5", sop_class: str = DERMOSCOPIC) -> Dataset:
    """A data set with the four UIDs, a nested sequence in front of them and some bytes of pixels."""
    inner = Dataset()
    inner.CodeValue = "1"
    outer = Dataset()
    outer.PurposeOfReferenceCodeSequence = [inner]
    made = Dataset()
    made.SpecificCharacterSet = "ISO_IR 192"
    made.SOPClassUID = sop_class
    made.SOPInstanceUID = uid
    made.Modality = "DMS"
    made.SourceImageSequence = [outer, outer]
    made.PatientName = "SYNTHETIC^TEST"
    made.StudyInstanceUID = "1.2.3"
    made.SeriesInstanceUID = "1.2.3.4"
    made.Rows = 2
    made.Columns = 2
    made.add_new(0x7FE00010, "OB", bytes(12))
    return made


def encode(dataset: Dataset, *, implicit: bool = False, little: bool = True) -> bytes:
    """The data set's bytes without File Meta Information."""
    out = DicomBytesIO()
    out.is_implicit_VR = implicit
    out.is_little_endian = little
    write_dataset(out, dataset)
    return out.getvalue()


def store_bytes(
    association: Association,
    data: bytes | None,
    *,
    sop_class: str = DERMOSCOPIC,
    uid: str = "1.2.3.4.5",
    context_class: str | None = None,
) -> Dataset:
    """Send a C-STORE with exactly these bytes and return the response: Status and Error Comment."""
    context = next(
        one for one in association.accepted_contexts if one.abstract_syntax == (context_class or sop_class)
    )
    request = C_STORE()
    request.MessageID = 1
    request.AffectedSOPClassUID = sop_class
    request.AffectedSOPInstanceUID = uid
    request.Priority = 2
    request.DataSet = None if data is None else BytesIO(data)
    assert context.context_id is not None
    # The response is caught where it comes in: pynetdicom's own way of waiting for it can lose it to the association's
    # thread on a busy machine.
    responses: queue.Queue[Dataset] = queue.Queue()
    caught = (evt.EVT_DIMSE_RECV, lambda event: responses.put(event.message.command_set))
    association.bind(*caught)
    association.dimse.send_msg(request, context.context_id)
    answered = Dataset()
    deadline = time.monotonic() + 60
    while association.is_established and time.monotonic() < deadline:
        try:
            answered = responses.get(timeout=0.1)
        except queue.Empty:
            continue
        break
    association.unbind(*caught)
    return answered


@dataclass
class Bench:
    """A policy, and listeners and associations that end with the test."""

    policy: ListenerPolicy
    stack: ExitStack

    def listen(self, index: int = 0) -> Listener:
        """Start a listener."""
        return self.stack.enter_context(Listener(self.policy, index=index))

    def change(self, **values: object) -> None:
        """Change the policy of the listeners that are started from now on."""
        self.policy = replace(self.policy, **values)  # type: ignore[arg-type]

    def associate(
        self,
        listener: Listener,
        classes: tuple[str, ...] = (DERMOSCOPIC,),
        syntaxes: tuple[str, ...] = (ExplicitVRLittleEndian,),
        calling: str = "SENDER",
        called: str = "DERMPACS",
    ) -> Association:
        """Open an association; it may have been rejected."""
        sender = AE(calling)
        for one in classes:
            sender.add_requested_context(one, list(syntaxes))
        association = sender.associate("127.0.0.1", listener.port, ae_title=called)
        self.stack.callback(lambda: association.abort() if association.is_established else None)
        return association

    def spooled(self, index: int = 0) -> list[SpooledRecord]:
        """All records of one listener."""
        return list(records(self.policy.spool_dir / f"listener-{index}", Position(0, 0)))

    def data_set_bytes(self, record: SpooledRecord) -> bytes:
        """The data set's bytes of a Part 10 payload."""
        part10 = payload(self.policy.spool_dir, record.place)
        assert part10[:132] == bytes(128) + b"DICM"
        length = int.from_bytes(part10[140:144], "little")
        return part10[144 + length :]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A listener's policy on a free port with one sender."""
    policy = ListenerPolicy(
        ae_title="DERMPACS",
        host="127.0.0.1",
        port=0,
        share_port=False,
        maximum_associations=20,
        callers=frozenset({"SENDER", "REPORTER"}),
        senders=frozenset({"SENDER"}),
        spool_dir=tmp_path / "spool",
        segment_bytes=10**8,
        reserve_bytes=0,
        grace_seconds=2.0,
    )
    with ExitStack() as stack:
        yield Bench(policy, stack)


@pytest.fixture
def listener(bench: Bench) -> Listener:
    """A listener by the bench's policy."""
    return bench.listen()


@pytest.fixture(scope="session")
def dataset() -> Callable[..., Dataset]:
    """Makes a data set: `dataset(uid, sop_class)`."""
    return make_dataset


@pytest.fixture(scope="session")
def encoded() -> Callable[..., bytes]:
    """Encodes a data set: `encoded(dataset, implicit=…, little=…)`."""
    return encode


@pytest.fixture(scope="session")
def store() -> Callable[..., Dataset]:
    """Sends bytes as a C-STORE: `store(association, data, sop_class=…, uid=…, context_class=…)`."""
    return store_bytes


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of six megabytes of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(folder)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"this machine refuses to mount a small file system: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)

"""Stock senders: DCMTK's storescu, dcmsend and echoscu."""

import shutil
import subprocess
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from derm_pacs.receive.listener import Listener
from derm_pacs.receive.part10 import file_start
from derm_pacs.spool.read import payload

pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif(shutil.which("storescu") is None, reason="DCMTK is not installed (apt-get install dcmtk)"),
]
Bench = Any  # the class of tests/receive/conftest.py, which tests do not import


@pytest.fixture
def file(tmp_path: Path, dataset: Callable[..., Dataset], encoded: Callable[..., bytes]) -> Path:
    made = tmp_path / "image.dcm"
    start = file_start(
        sop_class_uid="1.2.840.10008.5.1.4.1.1.77.1.7", sop_instance_uid="1.2.3.4.5",
        transfer_syntax_uid="1.2.840.10008.1.2.1", calling_ae="FILE", called_ae="FILE",
    )  # fmt: skip
    made.write_bytes(start + encoded(dataset()))
    return made


def called(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("program", [("storescu", "-R"), ("dcmsend",)], ids=["storescu", "dcmsend"])
def test_an_object_of_a_stock_sender_is_in_the_spool(
    bench: Bench, listener: Listener, file: Path, program: tuple[str, ...]
) -> None:
    sent = called(*program, "-aet", "SENDER", "-aec", "DERMPACS", "127.0.0.1", str(listener.port), str(file))
    assert sent.returncode == 0, sent.stderr
    (record,) = bench.spooled()
    kept = dcmread(BytesIO(payload(bench.policy.spool_dir, record.place)))
    original = dcmread(file)
    assert kept == original
    assert kept.file_meta.SourceApplicationEntityTitle == "SENDER"


def test_a_refusal_reaches_a_stock_sender_with_its_sentence(bench: Bench, file: Path) -> None:
    bench.change(reserve_bytes=2**60)
    listener = bench.listen()
    sent = called("storescu", "-v", "-R", "-aet", "SENDER", "-aec", "DERMPACS", "127.0.0.1", str(listener.port), str(file))
    assert "OutOfResources" in sent.stdout + sent.stderr
    assert bench.spooled() == []


def test_an_echo_of_a_stock_sender_is_answered_and_a_stranger_is_not(bench: Bench, listener: Listener) -> None:
    known = called("echoscu", "-aet", "SENDER", "-aec", "DERMPACS", "127.0.0.1", str(listener.port))
    assert known.returncode == 0, known.stderr
    stranger = called("echoscu", "-aet", "STRANGER", "-aec", "DERMPACS", "127.0.0.1", str(listener.port))
    assert stranger.returncode != 0
    assert "Calling AE Title Not Recognized" in stranger.stderr

"""Records and small disks for the tests of the spool."""

import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from derm_pacs.spool.record import RecordHeader

MakeHeader = Callable[[str], RecordHeader]


def _header(uid: str) -> RecordHeader:
    return RecordHeader(
        kind="object",
        calling_ae="SENDER",
        called_ae="DERMPACS",
        received_at=datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC),
        sop_class_uid="1.2.840.10008.5.1.4.1.1.77.1.7",
        sop_instance_uid=uid,
        study_instance_uid="1.2.3",
        series_instance_uid="1.2.3.4",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
    )


@pytest.fixture(scope="session")
def header() -> MakeHeader:
    """Makes the header of an object by its SOP Instance UID."""
    return _header


@pytest.fixture(params=["tmpfs", "ext4"])
def small_disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A file system of a few megabytes of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if request.param == "tmpfs":
        command = ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(folder)]
    else:
        image = tmp_path / "disk.img"
        with image.open("wb") as file:
            file.truncate(8 * 1024 * 1024)
        made = subprocess.run(["mkfs.ext4", "-q", "-m", "0", str(image)], capture_output=True, text=True, check=False)
        if made.returncode:
            pytest.skip(f"mkfs.ext4 refused: {made.stderr.strip()}")
        command = ["mount", "-o", "loop", str(image), str(folder)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"this machine refuses to mount a small {request.param}: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@dataclass(frozen=True)
class FailingDisk:
    """A file system whose device has less room than the file system believes."""

    folder: Path
    filler: Path
    """Deleting it makes the device whole."""


@pytest.fixture
def failing_disk(tmp_path: Path) -> Iterator[FailingDisk]:
    """An ext4 of 16 MB on an image that lies on a full tmpfs: writes succeed, syncs fail with a real error."""
    backing, folder = tmp_path / "backing", tmp_path / "disk"
    backing.mkdir()
    folder.mkdir()
    image, filler = backing / "image", backing / "filler"
    commands = [
        ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(backing)],
        ["truncate", "-s", "16m", str(image)],
        ["mkfs.ext4", "-q", "-m", "0", "-O", "^has_journal", "-E", "nodiscard,lazy_itable_init=0", str(image)],
        ["fallocate", "-l", "9m", str(filler)],
        ["mount", "-o", "loop,errors=continue", str(image), str(folder)],
    ]
    try:
        for command in commands:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                pytest.skip(f"this machine cannot make a failing disk: {' '.join(command[:3])}: {done.stderr.strip()}")
        yield FailingDisk(folder, filler)
    finally:
        for mounted in (folder, backing):
            subprocess.run(["umount", "--lazy", str(mounted)], capture_output=True, check=False)

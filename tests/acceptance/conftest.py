"""One hospital for the tests that leave it as they found it, and one whose processes die."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from derm_pacs.demonstration import orthanc
from tests.acceptance.deaths import KILLING
from tests.acceptance.hospital import Hospital
from tests.acceptance.studies import bundles
from tests.conftest import REPOSITORY


@pytest.fixture(scope="session")
def _orthanc_is_there() -> None:
    if orthanc.program() is None:
        pytest.skip("Orthanc is not installed: `make test` installs it; on Debian: apt-get install orthanc")


@pytest.fixture
def empty_folder(_orthanc_is_there: None) -> Iterator[Path]:
    """A folder of a hospital's own, with a path short enough for Unix sockets."""
    folder = Path(tempfile.mkdtemp(prefix="derm-h-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def hospital(_orthanc_is_there: None) -> Iterator[Hospital]:
    """A hospital whose PACS routes everything that it gets back to us, our own results included."""
    folder = Path(tempfile.mkdtemp(prefix="derm-h-"))
    folder.chmod(0o755)
    with Hospital(folder, bundles(REPOSITORY), route_back=True) as made:
        yield made
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def deadly(_orthanc_is_there: None) -> Iterator[tuple[Hospital, Path]]:
    """A hospital whose processes end at the points that a test names, by a file of that name in the folder."""
    folder = Path(tempfile.mkdtemp(prefix="derm-k-"))
    folder.chmod(0o755)
    kill_dir = folder / "kill"
    kill_dir.mkdir()
    environment = {"PYTHONPATH": f"{KILLING}{os.pathsep}{REPOSITORY}", "KILL_DIR": str(kill_dir)}
    with Hospital(folder, bundles(REPOSITORY), environment=environment) as made:
        yield made, kill_dir
    shutil.rmtree(folder, ignore_errors=True)

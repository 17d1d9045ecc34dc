"""What tests of several rooms share: the real PostgreSQL, a fresh database, the shared test data."""

import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from psycopg import sql

from derm_pacs.operations.postgres import ROLE, EmbeddedPostgres

REPOSITORY = Path(__file__).resolve().parents[1]


def shared_data() -> Path:
    """Return the folder of shared test data, or skip where it is not there."""
    folder = REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("../shared/data is not there: real images and odd DICOM files are left out")
    return folder


@pytest.fixture(scope="session")
def short_folder() -> Iterator[Path]:
    """A folder with a path short enough for Unix sockets, reachable for the database's user."""
    folder = Path(tempfile.mkdtemp(prefix="derm-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres(short_folder: Path) -> Iterator[EmbeddedPostgres]:
    """One embedded server for the whole run of tests."""
    server = EmbeddedPostgres(short_folder / "pg", run_as="nobody")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def database_url(postgres: EmbeddedPostgres) -> Iterator[str]:
    """URL of a fresh, empty database of the test's own."""
    name = f"t_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    yield f"postgresql://{ROLE}@/{name}?host={quote(str(postgres.socket_folder), safe='')}"
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

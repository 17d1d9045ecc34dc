"""What tests of several rooms share: the real PostgreSQL, a fresh or migrated database, the shared test data."""

import os
import shutil
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import hypothesis
import psycopg
import pytest
from psycopg import sql

from derm_pacs.ledger import migrate
from derm_pacs.ledger.database import Database
from derm_pacs.operations.postgres import ROLE, EmbeddedPostgres

REPOSITORY = Path(__file__).resolve().parents[1]

# Several processes of tests run side by side: threads of torch beyond one each would only wait for each other's cores. It
# holds for their children too, and has to be said before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Fewer examples than Hypothesis takes by itself: `make check` stays under two minutes. A rule over a large space asks
# for more at its own place. No deadline: a busy machine is no failure. In CI the examples are the same every time, so that
# one commit has one outcome; everywhere else each run looks at new ones.
hypothesis.settings.register_profile("derm-pacs", hypothesis.settings(max_examples=40, deadline=None))
hypothesis.settings.register_profile(
    "derm-pacs in CI", hypothesis.settings.get_profile("derm-pacs"), derandomize=True, print_blob=True
)
hypothesis.settings.load_profile("derm-pacs in CI" if os.environ.get("CI") else "derm-pacs")


@pytest.fixture(autouse=True)
def _same_random_weights() -> None:
    """Begin each test at the same random numbers of torch: a network of random weights is the same in every run and order."""
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


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


def _url(server: EmbeddedPostgres, name: str) -> str:
    return f"postgresql://{ROLE}@/{name}?host={quote(str(server.socket_folder), safe='')}"


@contextmanager
def _made(server: EmbeddedPostgres, name: str, template: str = "template1") -> Iterator[str]:
    """Give the URL of a copy of `template` that lives as long as the block."""
    database = sql.Identifier(name)
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(database, sql.Identifier(template)))
    yield _url(server, name)
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(database))


@pytest.fixture
def database_url(postgres: EmbeddedPostgres) -> Iterator[str]:
    """URL of a fresh, empty database of the test's own."""
    with _made(postgres, f"t_{uuid.uuid4().hex[:12]}") as url:
        yield url


@pytest.fixture(scope="session")
def template(postgres: EmbeddedPostgres) -> Iterator[str]:
    """Name of a migrated database that each test's own is copied from, since a copy is far quicker than a migration."""
    name = f"template_{uuid.uuid4().hex[:12]}"
    with _made(postgres, name) as url:
        migrate.upgrade(url)
        yield name


@pytest.fixture
def ledger_url(postgres: EmbeddedPostgres, template: str) -> Iterator[str]:
    """URL of a migrated, empty database of the test's own."""
    with _made(postgres, f"t_{uuid.uuid4().hex[:12]}", template) as url:
        yield url


@pytest.fixture
def database(ledger_url: str) -> Iterator[Database]:
    """The test's own ledger."""
    made = Database(ledger_url)
    yield made
    made.close()

"""The embedded PostgreSQL: starts, survives kills, refuses what it cannot serve."""

import os
import signal
from pathlib import Path

import psycopg
import pytest

from derm_pacs.domain.errors import Transient
from derm_pacs.operations.postgres import EmbeddedPostgres

pytestmark = pytest.mark.server


@pytest.fixture
def server(short_folder: Path, request: pytest.FixtureRequest) -> EmbeddedPostgres:
    made = EmbeddedPostgres(short_folder / f"own-{abs(hash(request.node.name)) % 10**6}", run_as="nobody")
    request.addfinalizer(made.stop)
    return made


def test_a_killed_server_keeps_what_it_committed(server: EmbeddedPostgres) -> None:
    server.start()
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept (number int)")
        connection.execute("INSERT INTO kept VALUES (41)")
    pid = server.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    server.start()
    with psycopg.connect(server.url) as connection:
        assert connection.execute("SELECT number FROM kept").fetchone() == (41,)


def test_it_listens_on_no_network_address(server: EmbeddedPostgres) -> None:
    server.start()
    with psycopg.connect(server.url) as connection:
        assert connection.execute("SHOW listen_addresses").fetchone() == ("",)


def test_a_cluster_of_another_version_is_refused_with_a_sentence(server: EmbeddedPostgres) -> None:
    server.start()
    server.stop()
    (server.cluster / "PG_VERSION").write_text("14\n")
    with pytest.raises(Transient, match="made by PostgreSQL 14"):
        server.start()


def test_a_path_too_long_for_a_socket_is_refused_with_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(Transient, match="set data_dir to a shorter path"):
        EmbeddedPostgres(tmp_path / ("x" * 100), run_as="nobody").start()

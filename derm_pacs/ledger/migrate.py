"""The schema's versions: bring a database to the newest, take it back, say where it stands.

Procrastinate's tables are part of the migrations, so this is the only step before a program is started.
"""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, make_url, pool

SCRIPTS = Path(__file__).resolve().parents[2] / "alembic"


class SchemaError(Exception):
    """The database's schema is not the one that this program works with; the message says what to do."""


def upgrade(url: str) -> None:
    """Bring the database to the newest schema; nothing is changed where it is there already."""
    command.upgrade(_config(url), "head")


def downgrade(url: str, revision: str) -> None:
    """Take the database back to a revision; `base` drops everything, with all that it holds."""
    command.downgrade(_config(url), revision)


def current(url: str) -> str | None:
    """Return the database's revision, None where nothing was migrated yet."""
    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"), poolclass=pool.NullPool)
    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def newest() -> str:
    """Return the revision that this program works with."""
    revision = ScriptDirectory.from_config(_config("")).get_current_head()
    if revision is None:
        raise SchemaError(f"there are no migrations in {SCRIPTS}; install derm-pacs anew")
    return revision


def require_current(url: str) -> None:
    """Raise `SchemaError` unless the database has the schema of this program."""
    found = current(url)
    if found == newest():
        return
    if found is None:
        raise SchemaError("the database has no tables of derm-pacs yet; run: derm-pacs migrate")
    known = {script.revision for script in ScriptDirectory.from_config(_config("")).walk_revisions()}
    if found in known:
        raise SchemaError(f"the database is at {found}, this program needs {newest()}; run: derm-pacs migrate")
    raise SchemaError(
        f"the database is at {found}, which this program (it knows up to {newest()}) does not know: "
        "a newer derm-pacs has migrated it; run that version, or restore the backup made before its migration"
    )


def _config(url: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    config.attributes["url"] = url
    return config

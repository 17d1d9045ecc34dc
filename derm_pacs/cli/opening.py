"""Opening the settings and the ledger for a command; a ledger that cannot be opened ends it with a sentence."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import text

from derm_pacs.cli.exit_codes import CommandError, ExitCode
from derm_pacs.domain.errors import Transient
from derm_pacs.ledger import migrate
from derm_pacs.ledger.database import Database
from derm_pacs.operations.postgres import EmbeddedPostgres, ledger_url
from derm_pacs.settings.model import Settings
from derm_pacs.settings.read import read
from derm_pacs.settings.secrets import masked_url

_PATIENCE_SECONDS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What most commands work on."""

    settings: Settings
    database: Database


@contextmanager
def opened(config: Path, *, start_embedded: bool = False) -> Iterator[Opened]:
    """Give the settings and the ledger at the schema of this program.

    `start_embedded` starts the embedded database for the while where it does not run. Raises `CommandError` where the
    database does not answer or has another schema, `SettingsError` for the settings.
    """
    settings = read(config)
    with answering_url(settings, start_embedded=start_embedded) as url:
        require_schema(url)
        database = Database(url, patience_seconds=_PATIENCE_SECONDS)
        try:
            yield Opened(settings=settings, database=database)
        finally:
            database.close()


@contextmanager
def answering_url(settings: Settings, *, start_embedded: bool) -> Iterator[str]:
    """Give the URL of a database that answers."""
    url = ledger_url(settings)
    embedded = EmbeddedPostgres(settings.postgres_dir, run_as=settings.database.run_as)
    try:
        require_answer(url, settings)
    except CommandError:
        if settings.database.url is not None or not start_embedded:
            raise
        embedded.start()
    try:
        yield url
    finally:
        embedded.stop()


def require_answer(url: str, settings: Settings) -> int:
    """Return the version of the server that answers, as 180003 for 18.3; raises `CommandError` with the remedy."""
    database = Database(url, patience_seconds=_PATIENCE_SECONDS)
    try:
        return database.transaction(lambda tx: int(tx.execute(text("SHOW server_version_num")).scalar_one()))
    except Transient as error:
        said = str(error.__cause__).splitlines()[0] if error.__cause__ else error.detail
        raise CommandError(ExitCode.UNAVAILABLE, f"the database does not answer: {said}", remedy(settings)) from error
    finally:
        database.close()


def require_schema(url: str) -> None:
    """Raise `CommandError` with the remedy where the database has not the schema of this program."""
    try:
        migrate.require_current(url)
    except migrate.SchemaError as error:
        wrong, _, what_to_do = str(error).rpartition("; ")
        raise CommandError(ExitCode.REFUSED, wrong, what_to_do) from error


def remedy(settings: Settings) -> str:
    """Say what a person can do when the database does not answer."""
    if settings.database.url is None:
        return f"the embedded PostgreSQL in {settings.postgres_dir} runs with the service; start it: derm-pacs serve"
    return f"look at PostgreSQL and at database.url ({masked_url(settings.database.url)}) of the settings"

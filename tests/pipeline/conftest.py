"""A migrated database for tests of the walk."""

from collections.abc import Iterator

import pytest

from derm_pacs.ledger import migrate
from derm_pacs.ledger.database import Database


@pytest.fixture
def ledger_url(database_url: str) -> str:
    migrate.upgrade(database_url)
    return database_url


@pytest.fixture
def database(ledger_url: str) -> Iterator[Database]:
    made = Database(ledger_url)
    yield made
    made.close()

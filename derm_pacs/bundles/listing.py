"""All installed bundles, and of each whether it can be used."""

from dataclasses import dataclass

from derm_pacs.bundles.verify import unusable
from derm_pacs.ledger import bundles
from derm_pacs.ledger.bundles import InstalledBundle
from derm_pacs.ledger.database import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedBundle:
    """An installed bundle with the state of its files."""

    bundle: InstalledBundle
    unusable: str
    """Why it cannot be used, naming the file; empty where it can."""


def listed(database: Database) -> tuple[ListedBundle, ...]:
    """Return every installed version; each one's files are read and compared."""
    return tuple(
        ListedBundle(bundle=one, unusable=unusable(one.folder, one.identity.content_hash))
        for one in database.transaction(bundles.installed)
    )

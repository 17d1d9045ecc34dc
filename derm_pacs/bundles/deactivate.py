"""Take a bundle out of force: by a named person, with a reason; its route then rejects what it alone would read."""

from datetime import datetime

from sqlalchemy import update
from sqlalchemy.orm import Session

from derm_pacs.domain.errors import Rejected
from derm_pacs.domain.reasons import BUNDLE_UNKNOWN
from derm_pacs.ledger import audit, bundles
from derm_pacs.ledger.bundles import InstalledBundle
from derm_pacs.ledger.database import Database
from derm_pacs.ledger.tables import Bundle


def deactivate(database: Database, name: str, *, actor: str, reason: str, now: datetime) -> InstalledBundle:
    """Deactivate the active version of a bundle and return it as it was; raises `Rejected` (bundle_unknown)."""

    def work(tx: Session) -> InstalledBundle:
        found = bundles.active(tx, name)
        if found is None:
            raise Rejected(BUNDLE_UNKNOWN, f"no version of {name} is active")
        tx.execute(update(Bundle).where(Bundle.id == found.id).values(active=False))
        audit.append(
            tx,
            actor=actor,
            action="bundle.deactivate",
            subject=f"{name} {found.identity.version}",
            reason=reason,
            detail={"content_hash": found.identity.content_hash},
            now=now,
        )
        return found

    return database.transaction(work)

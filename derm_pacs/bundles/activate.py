"""Make an installed version the one that reads images: by a named person, with a reason."""

from datetime import datetime

from sqlalchemy.orm import Session

from derm_pacs.bundles.verify import verify
from derm_pacs.domain.errors import Rejected
from derm_pacs.domain.findings import Grade
from derm_pacs.domain.reasons import BUNDLE_REFUSED, BUNDLE_UNKNOWN
from derm_pacs.ledger import audit, bundles
from derm_pacs.ledger.bundles import InstalledBundle
from derm_pacs.ledger.database import Database


def activate(
    database: Database,
    name: str,
    version: str,
    *,
    allow_demonstration: bool = False,
    actor: str,
    reason: str,
    now: datetime,
) -> InstalledBundle:
    """Activate a version, and with it the operating points set for it; the active one of that name steps back.

    Raises `Rejected` (bundle_unknown, or bundle_refused for a bundle of grade demonstration unless that is allowed), and
    `Defect` (bundle_changed) for a damaged folder.
    """

    def work(tx: Session) -> InstalledBundle:
        found = bundles.find(tx, name, version)
        if found is None:
            raise Rejected(BUNDLE_UNKNOWN, f"{name} {version}")
        if found.identity.grade is Grade.DEMONSTRATION and not allow_demonstration:
            raise Rejected(
                BUNDLE_REFUSED,
                f"{name} {version} is of grade demonstration: it is allowed by name only, and never for patients",
            )
        verify(found.folder, found.identity.content_hash)
        before = bundles.active(tx, name)
        if before is not None and before.id == found.id:
            return found
        bundles.make_active(tx, found)
        audit.append(
            tx,
            actor=actor,
            action="bundle.activate",
            subject=f"{name} {version}",
            reason=reason,
            detail={"content_hash": found.identity.content_hash, "now": _thresholds(found)}
            | ({} if before is None else {"before": before.identity.version, "then": _thresholds(before)}),
            now=now,
        )
        activated = bundles.find(tx, name, version)
        return activated if activated is not None else found

    return database.transaction(work)


def _thresholds(bundle: InstalledBundle) -> dict[str, float]:
    return {point.id: point.threshold for point in bundle.operating_points}

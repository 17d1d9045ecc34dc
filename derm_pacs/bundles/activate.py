"""Make an installed version the one that reads images: by a named person, with a reason."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from derm_pacs.bundles.verify import verify
from derm_pacs.domain.errors import Rejected
from derm_pacs.domain.findings import Grade
from derm_pacs.domain.reasons import BUNDLE_REFUSED, BUNDLE_UNKNOWN
from derm_pacs.domain.routing import Route
from derm_pacs.ledger import audit, bundles
from derm_pacs.ledger.bundles import InstalledBundle
from derm_pacs.ledger.database import Database


def activate(
    database: Database,
    name: str,
    version: str,
    *,
    routes: Sequence[Route],
    actor: str,
    reason: str,
    now: datetime,
) -> InstalledBundle:
    """Activate a version, and with it the operating points set for it; the active one of that name steps back.

    Raises `Rejected` (bundle_unknown, or bundle_refused for a bundle of grade demonstration that a clinical route of the
    settings names), and `Defect` (bundle_changed) for a damaged folder.
    """

    def work(tx: Session) -> InstalledBundle:
        found = bundles.find(tx, name, version)
        if found is None:
            raise Rejected(BUNDLE_UNKNOWN, f"{name} {version}")
        clinical = [one.name for one in routes if one.clinical and name in one.bundles]
        if found.identity.grade is Grade.DEMONSTRATION and clinical:
            raise Rejected(
                BUNDLE_REFUSED,
                f"{name} {version} is of grade demonstration, and the clinical route {clinical[0]} names it: take it out of the "
                "route, or set clinical = false where no patient's images come",
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

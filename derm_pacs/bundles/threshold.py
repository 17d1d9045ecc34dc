"""Move a threshold: by a named person, with a reason; results say who set it."""

from datetime import datetime

from sqlalchemy.orm import Session

from derm_pacs.domain.errors import Rejected
from derm_pacs.domain.findings import OperatingPoint
from derm_pacs.domain.reasons import BUNDLE_REFUSED, BUNDLE_UNKNOWN
from derm_pacs.ledger import audit, bundles
from derm_pacs.ledger.database import Database


def set_threshold(
    database: Database, name: str, point_id: str, value: float, *, actor: str, reason: str, now: datetime
) -> OperatingPoint:
    """Set an operating point of the active version; cases analysed from now on are read with it.

    `value` is a probability in 0..1. Raises `Rejected` (bundle_unknown, bundle_refused).
    """
    if not 0 <= value <= 1:
        raise Rejected(BUNDLE_REFUSED, f"a threshold lies in 0..1, not at {value!r}")

    def work(tx: Session) -> OperatingPoint:
        bundle = bundles.active(tx, name)
        if bundle is None:
            raise Rejected(BUNDLE_UNKNOWN, f"no version of {name} is active")
        before = next((point for point in bundle.operating_points if point.id == point_id), None)
        if before is None:
            known = ", ".join(point.id for point in bundle.operating_points) or "none"
            raise Rejected(BUNDLE_UNKNOWN, f"{name} has no operating point {point_id}; it has: {known}")
        after = OperatingPoint(
            id=point_id, output=before.output, positive=before.positive, threshold=value, set_by=actor
        )
        bundles.set_point(tx, bundle.id, after, reason=reason, now=now)
        audit.append(
            tx,
            actor=actor,
            action="bundle.threshold",
            subject=f"{name} {bundle.identity.version} {point_id}",
            reason=reason,
            detail={"from": before.threshold, "from_set_by": before.set_by, "to": value},
            now=now,
        )
        return after

    return database.transaction(work)

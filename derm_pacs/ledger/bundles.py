"""Installed bundles, which version is active, and the operating points in force."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from derm_pacs.domain.findings import BundleIdentity, OperatingPoint
from derm_pacs.ledger.tables import Bundle, OperatingPointRow


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledBundle:
    """An installed version, with the operating points in force."""

    id: int
    identity: BundleIdentity
    licence: str
    folder: Path
    """Where its files lie."""
    installed_at: datetime
    active: bool
    operating_points: tuple[OperatingPoint, ...]


def installed(tx: Session) -> tuple[InstalledBundle, ...]:
    """Return all installed versions by name and time of installation."""
    rows = tx.scalars(select(Bundle).order_by(Bundle.name, Bundle.installed_at, Bundle.id)).all()
    return tuple(_value(tx, row) for row in rows)


def find(tx: Session, name: str, version: str) -> InstalledBundle | None:
    """Return one installed version, None where there is none."""
    row = tx.scalars(select(Bundle).where(Bundle.name == name, Bundle.version == version)).one_or_none()
    return _value(tx, row) if row is not None else None


def active(tx: Session, name: str) -> InstalledBundle | None:
    """Return the active version of that name, locked until the transaction ends, None where none is active."""
    row = tx.scalars(select(Bundle).where(Bundle.name == name, Bundle.active).with_for_update()).one_or_none()
    return _value(tx, row) if row is not None else None


def add(
    tx: Session,
    *,
    identity: BundleIdentity,
    licence: str,
    folder: Path,
    operating_points: Sequence[OperatingPoint],
    reason: str,
    now: datetime,
) -> InstalledBundle:
    """Add a version, not active, with the operating points that it brings."""
    row = Bundle(
        name=identity.name,
        version=identity.version,
        content_hash=identity.content_hash,
        title=identity.title,
        grade=identity.grade,
        licence=licence,
        folder=str(folder),
        installed_at=now,
        active=False,
    )
    tx.add(row)
    tx.flush()
    for point in operating_points:
        set_point(tx, row.id, point, reason=reason, now=now)
    return _value(tx, row)


def move(tx: Session, bundle_id: int, folder: Path) -> None:
    """Name the folder in which the bundle's files lie."""
    tx.execute(update(Bundle).where(Bundle.id == bundle_id).values(folder=str(folder)))


def make_active(tx: Session, bundle: InstalledBundle) -> None:
    """Make this version the only active one of its name."""
    tx.execute(update(Bundle).where(Bundle.name == bundle.identity.name, Bundle.active).values(active=False))
    tx.execute(update(Bundle).where(Bundle.id == bundle.id).values(active=True))


def set_point(tx: Session, bundle_id: int, point: OperatingPoint, *, reason: str, now: datetime) -> None:
    """Put an operating point in force; the one before stays as history."""
    tx.execute(
        update(OperatingPointRow)
        .where(
            OperatingPointRow.bundle_id == bundle_id, OperatingPointRow.point_id == point.id, OperatingPointRow.current
        )
        .values(current=False)
    )
    tx.add(
        OperatingPointRow(
            bundle_id=bundle_id,
            point_id=point.id,
            output=point.output,
            positive=point.positive,
            threshold=point.threshold,
            set_by=point.set_by,
            reason=reason,
            set_at=now,
            current=True,
        )
    )
    tx.flush()


def _value(tx: Session, row: Bundle) -> InstalledBundle:
    points = tx.scalars(
        select(OperatingPointRow)
        .where(OperatingPointRow.bundle_id == row.id, OperatingPointRow.current)
        .order_by(OperatingPointRow.point_id)
    )
    return InstalledBundle(
        id=row.id,
        identity=BundleIdentity(
            name=row.name, version=row.version, content_hash=row.content_hash, title=row.title, grade=row.grade
        ),
        licence=row.licence,
        folder=Path(row.folder),
        installed_at=row.installed_at,
        active=row.active,
        operating_points=tuple(
            OperatingPoint(
                id=point.point_id,
                output=point.output,
                positive=point.positive,
                threshold=point.threshold,
                set_by=point.set_by,
            )
            for point in points
        ),
    )

"""Which revisions an installed bundle has read, for looking at many cases at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from derm_pacs.domain.findings import BundleIdentity, RunRole
from derm_pacs.ledger.tables import Bundle, Revision, RunRow


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadBy:
    """An installed version of a bundle, and the newest revision of each case that it has read."""

    bundle: BundleIdentity
    folder: Path
    revisions: tuple[tuple[int, int], ...]
    """(case id, revision id), the newest case first."""


def read_by(tx: Session, name: str, *, cases: Sequence[int], limit: int) -> ReadBy | None:
    """Return what the version of the bundle in force (without one, the last installed) has read; None where none is installed.

    Only `cases` where there are any, and at most `limit` of them.
    """
    bundle = tx.scalars(
        select(Bundle).where(Bundle.name == name).order_by(Bundle.active.desc(), Bundle.installed_at.desc(), Bundle.id.desc())
    ).first()
    if bundle is None:
        return None
    newest = (
        select(Revision.case_id, func.max(Revision.id).label("revision_id"))
        .join(RunRow, RunRow.revision_id == Revision.id)
        .where(RunRow.bundle_id == bundle.id, RunRow.role == RunRole.ACTIVE, RunRow.finished_at.is_not(None))
        .group_by(Revision.case_id)
        .order_by(Revision.case_id.desc())
        .limit(limit)
    )
    rows = tx.execute(newest.where(Revision.case_id.in_(cases)) if cases else newest)
    return ReadBy(
        bundle=BundleIdentity(
            name=bundle.name, version=bundle.version, content_hash=bundle.content_hash, title=bundle.title, grade=bundle.grade
        ),
        folder=Path(bundle.folder),
        revisions=tuple((row.case_id, row.revision_id) for row in rows),
    )

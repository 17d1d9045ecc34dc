"""Composed objects of a revision: their rows; the bytes lie in the results folder under their SHA-256."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from derm_pacs.domain.composed import Composed, Form, Reference
from derm_pacs.ledger.tables import Case, ResultRow, Revision


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredResult:
    """A composed object whose bytes lie in the results folder."""

    result_id: int
    form: Form
    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    transfer_syntax_uid: str
    sha256: str
    about: tuple[str, ...]


def keep(tx: Session, revision_id: int, composed: Sequence[Composed], now: datetime) -> None:
    """Keep the rows of a revision's objects; those that an earlier try kept are replaced by equal ones."""
    known = {row.sop_instance_uid: row for row in tx.scalars(select(ResultRow).where(ResultRow.revision_id == revision_id))}
    for ordinal, one in enumerate(composed):
        row = known.pop(one.sop_instance_uid, None)
        if row is not None and row.sha256 == one.sha256:
            continue
        tx.add(
            ResultRow(
                revision_id=revision_id,
                form=one.form,
                ordinal=ordinal,
                sop_class_uid=one.sop_class_uid,
                sop_instance_uid=one.sop_instance_uid,
                series_instance_uid=one.series_instance_uid,
                transfer_syntax_uid=one.transfer_syntax_uid,
                sha256=one.sha256,
                length=len(one.data),
                about=list(one.about),
                composed_at=now,
            )
        )


def of_revision(tx: Session, revision_id: int) -> tuple[StoredResult, ...]:
    """Return the revision's objects in the order in which they are sent."""
    rows = tx.scalars(select(ResultRow).where(ResultRow.revision_id == revision_id).order_by(ResultRow.ordinal, ResultRow.id))
    return tuple(
        StoredResult(
            result_id=row.id,
            form=row.form,
            sop_class_uid=row.sop_class_uid,
            sop_instance_uid=row.sop_instance_uid,
            series_instance_uid=row.series_instance_uid,
            transfer_syntax_uid=row.transfer_syntax_uid,
            sha256=row.sha256,
            about=tuple(row.about),
        )
        for row in rows
    )


def predecessors(tx: Session, revision_id: int) -> tuple[Reference, ...]:
    """Return the SRs of the newest earlier revision of the case that has any; empty for a first one."""
    this = tx.get_one(Revision, revision_id)
    study = tx.get_one(Case, this.case_id).study_instance_uid
    rows = tx.execute(
        select(ResultRow, Revision.number)
        .join(Revision, Revision.id == ResultRow.revision_id)
        .where(
            Revision.case_id == this.case_id,
            Revision.number < this.number,
            ResultRow.form.in_([Form.OVERLAY_SR, Form.REPORT_SR]),
        )
        .order_by(Revision.number.desc(), ResultRow.ordinal)
    ).all()
    return tuple(
        Reference(
            form=row.form,
            sop_class_uid=row.sop_class_uid,
            sop_instance_uid=row.sop_instance_uid,
            series_instance_uid=row.series_instance_uid,
            study_instance_uid=study,
        )
        for row, number in rows
        if number == rows[0][1]
    )

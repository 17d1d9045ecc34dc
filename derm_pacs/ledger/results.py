"""Composed objects of a revision, by edition: their rows; the bytes lie in the results folder under their SHA-256."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from derm_pacs.domain.composed import Composed, Form, Reference
from derm_pacs.domain.edition import Edition
from derm_pacs.domain.errors import Defect
from derm_pacs.domain.reasons import RESULT_INVALID
from derm_pacs.ledger.result_tables import DeliveredObject, EditionObject, ResultRow
from derm_pacs.ledger.tables import Case, Revision


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


def keep(tx: Session, revision_id: int, edition: Edition, composed: Sequence[Composed], now: datetime) -> None:
    """Keep an edition of a revision's results; objects that another edition has already are shared with it.

    Raises `Defect` where an object has the UID of a kept one and other bytes: one of the two may have been sent.
    """
    known = {row.sop_instance_uid: row for row in tx.scalars(select(ResultRow).where(ResultRow.revision_id == revision_id))}
    kept = frozenset(
        tx.scalars(
            select(EditionObject.result_id).where(
                EditionObject.revision_id == revision_id, EditionObject.edition == edition.key
            )
        )
    )
    for ordinal, one in enumerate(composed):
        row = known.get(one.sop_instance_uid)
        if row is None:
            row = _row(revision_id, one, now)
            tx.add(row)
            tx.flush()
        elif row.sha256 != one.sha256:
            raise Defect(RESULT_INVALID, f"{one.form} {one.sop_instance_uid} was composed again with other bytes")
        if row.id not in kept:
            tx.add(EditionObject(revision_id=revision_id, edition=edition.key, result_id=row.id, ordinal=ordinal))
    tx.flush()


def editions(tx: Session, revision_id: int) -> Mapping[Edition, tuple[StoredResult, ...]]:
    """Return the revision's objects by edition, in the order in which they are sent."""
    rows = tx.execute(
        select(EditionObject.edition, ResultRow)
        .join(EditionObject, EditionObject.result_id == ResultRow.id)
        .where(EditionObject.revision_id == revision_id)
        .order_by(EditionObject.edition, EditionObject.ordinal)
    )
    found: dict[Edition, list[StoredResult]] = {}
    for key, row in rows:
        found.setdefault(Edition.parse(key), []).append(_stored(row))
    return {edition: tuple(objects) for edition, objects in found.items()}


def acknowledged(tx: Session, delivery_id: int) -> tuple[StoredResult, ...]:
    """Return the objects that the delivery's destination has acknowledged."""
    rows = tx.scalars(
        select(ResultRow)
        .join(DeliveredObject, DeliveredObject.result_id == ResultRow.id)
        .where(DeliveredObject.delivery_id == delivery_id)
        .order_by(ResultRow.id)
    )
    return tuple(_stored(row) for row in rows)


def predecessors(tx: Session, revision_id: int) -> tuple[int, ...]:
    """Return the ids of the SRs of the newest earlier revision of the case that has any; empty for a first one."""
    this = tx.get_one(Revision, revision_id)
    rows = tx.execute(
        select(ResultRow.id, Revision.number)
        .join(Revision, Revision.id == ResultRow.revision_id)
        .where(
            Revision.case_id == this.case_id,
            Revision.number < this.number,
            ResultRow.form.in_([Form.OVERLAY_SR, Form.REPORT_SR]),
        )
        .order_by(Revision.number.desc(), ResultRow.id)
    ).all()
    return tuple(row.id for row in rows if row.number == rows[0].number)


def references(tx: Session, result_ids: Sequence[int]) -> tuple[Reference, ...]:
    """Return references to these objects, in their order."""
    rows = tx.execute(
        select(ResultRow, Case.study_instance_uid)
        .join(Revision, Revision.id == ResultRow.revision_id)
        .join(Case, Case.id == Revision.case_id)
        .where(ResultRow.id.in_(result_ids))
    )
    found = {
        row.id: Reference(
            form=row.form,
            sop_class_uid=row.sop_class_uid,
            sop_instance_uid=row.sop_instance_uid,
            series_instance_uid=row.series_instance_uid,
            study_instance_uid=study,
        )
        for row, study in rows
    }
    return tuple(found[one] for one in result_ids)


def _stored(row: ResultRow) -> StoredResult:
    return StoredResult(
        result_id=row.id,
        form=row.form,
        sop_class_uid=row.sop_class_uid,
        sop_instance_uid=row.sop_instance_uid,
        series_instance_uid=row.series_instance_uid,
        transfer_syntax_uid=row.transfer_syntax_uid,
        sha256=row.sha256,
        about=tuple(row.about),
    )


def _row(revision_id: int, one: Composed, now: datetime) -> ResultRow:
    return ResultRow(
        revision_id=revision_id,
        form=one.form,
        sop_class_uid=one.sop_class_uid,
        sop_instance_uid=one.sop_instance_uid,
        series_instance_uid=one.series_instance_uid,
        transfer_syntax_uid=one.transfer_syntax_uid,
        sha256=one.sha256,
        length=len(one.data),
        about=list(one.about),
        composed_at=now,
    )

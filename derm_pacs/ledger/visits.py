"""What revisions said of lesions: kept for a later visit of the same patient, and found again."""

from collections.abc import Sequence
from dataclasses import asdict

from sqlalchemy import ColumnElement, and_, exists, func, or_, select
from sqlalchemy.orm import Session

from derm_pacs.domain.case import State
from derm_pacs.domain.composed import Form, Reference
from derm_pacs.domain.study import InstanceRole
from derm_pacs.domain.visits import LesionProbability, LesionVisit
from derm_pacs.ledger.result_tables import LesionVisitRow, ResultRow
from derm_pacs.ledger.tables import Instance, Patient, Revision, RevisionInstance


def keep(tx: Session, revision_id: int, visits: Sequence[LesionVisit]) -> None:
    """Keep what a revision said of its lesions; what is kept already stays as it is, since later visits refer to it."""
    if tx.scalars(select(LesionVisitRow.id).where(LesionVisitRow.revision_id == revision_id).limit(1)).one_or_none():
        return
    for one in visits:
        tx.add(
            LesionVisitRow(
                revision_id=revision_id,
                tracking_uid=one.tracking_uid,
                tracked=one.tracked,
                site=one.site,
                laterality=one.laterality,
                study_date=one.study_date,
                report=asdict(one.report),
                images=[{"sop_class_uid": sop_class, "sop_instance_uid": uid} for sop_class, uid in one.images],
                probabilities=[asdict(probability) for probability in one.probabilities],
                area=one.area,
                diameter=one.diameter,
                share=one.share,
                outlined_by=list(one.outlined_by),
            )
        )
    tx.flush()


def earlier(tx: Session, revision_id: int) -> tuple[int, ...]:
    """Return the ids of what earlier studies of the revision's patient said of lesions, the newest study first.

    Of each other case of the same patient (facility, Patient ID, issuer) the newest composed revision counts, where
    its study's date is earlier, or, a date being missing, where it was received earlier. Nothing is matched for an
    erased patient, nor from a case of which any current image names somebody else, or that a person has cancelled.
    """
    this = tx.get_one(Revision, revision_id)
    patient_id = _only_patient(tx, revision_id)
    if patient_id is None:
        return ()
    found: list[tuple[int, ...]] = []
    for other in _composed_before(tx, this.case_id, patient_id):
        if _is_earlier(tx, other, this):
            rows = select(LesionVisitRow.id).where(LesionVisitRow.revision_id == other.id).order_by(LesionVisitRow.id)
            found.append(tuple(tx.scalars(rows)))
    return tuple(visit_id for several in found for visit_id in several)


def read(tx: Session, visit_ids: Sequence[int]) -> tuple[LesionVisit, ...]:
    """Return what is kept under these ids, in their order."""
    rows = {row.id: row for row in tx.scalars(select(LesionVisitRow).where(LesionVisitRow.id.in_(visit_ids)))}
    return tuple(_visit(rows[one]) for one in visit_ids)


def _only_patient(tx: Session, revision_id: int) -> int | None:
    """Return the one patient whom all images of a revision name, None where that is not so or the patient is erased."""
    named = list(
        tx.scalars(
            select(Instance.patient_id)
            .distinct()
            .join(RevisionInstance, RevisionInstance.instance_id == Instance.id)
            .where(RevisionInstance.revision_id == revision_id, Instance.role == InstanceRole.IMAGE)
        )
    )
    if len(named) != 1 or named[0] is None:
        return None
    return named[0] if tx.get_one(Patient, named[0], populate_existing=True).erased_at is None else None


def _composed_before(tx: Session, case_id: int, patient_id: int) -> list[Revision]:
    """Return the newest composed revision of every other case whose images all name the patient, by date of receipt."""
    somebody_else: ColumnElement[bool] = exists(
        select(Instance.id)
        .outerjoin(RevisionInstance, RevisionInstance.instance_id == Instance.id)
        .where(
            or_(and_(Instance.case_id == Revision.case_id, Instance.current), RevisionInstance.revision_id == Revision.id),
            Instance.role == InstanceRole.IMAGE,
            Instance.patient_id.is_distinct_from(patient_id),
        )
    )
    of_patient = select(Instance.case_id).where(Instance.patient_id == patient_id, Instance.case_id != case_id)
    composed: ColumnElement[bool] = exists(select(ResultRow.id).where(ResultRow.revision_id == Revision.id))
    newest = (
        select(func.max(Revision.number).label("number"), Revision.case_id)
        .where(Revision.case_id.in_(of_patient), composed)
        .group_by(Revision.case_id)
        .subquery()
    )
    return list(
        tx.scalars(
            select(Revision)
            .join(newest, and_(newest.c.case_id == Revision.case_id, newest.c.number == Revision.number))
            .where(Revision.state != State.CANCELLED, ~somebody_else)
            .order_by(Revision.first_received_at.desc(), Revision.id.desc())
        )
    )


def _is_earlier(tx: Session, other: Revision, this: Revision) -> bool:
    theirs, ours = (
        tx.scalars(
            select(func.min(Instance.study_date))
            .join(RevisionInstance, RevisionInstance.instance_id == Instance.id)
            .where(RevisionInstance.revision_id == revision.id, Instance.role == InstanceRole.IMAGE)
        ).one()
        for revision in (other, this)
    )
    if theirs is not None and ours is not None:
        return bool(theirs < ours)
    first_of_case = tx.scalars(select(func.min(Revision.first_received_at)).where(Revision.case_id == other.case_id)).one()
    of_ours = tx.scalars(select(func.min(Revision.first_received_at)).where(Revision.case_id == this.case_id)).one()
    return bool(first_of_case < of_ours)


def _visit(row: LesionVisitRow) -> LesionVisit:
    return LesionVisit(
        tracking_uid=row.tracking_uid,
        tracked=row.tracked,
        site=row.site,
        laterality=row.laterality,
        study_instance_uid=row.report["study_instance_uid"],
        study_date=row.study_date,
        report=Reference(**{**row.report, "form": Form(row.report["form"])}),
        images=tuple((one["sop_class_uid"], one["sop_instance_uid"]) for one in row.images),
        probabilities=tuple(LesionProbability(**one) for one in row.probabilities),
        area=row.area,
        diameter=row.diameter,
        share=row.share,
        outlined_by=tuple(row.outlined_by),
    )

"""What people and machines read of the ledger: the cases, and one case with its whole story.

Values only, with no patient data: no name, patient ID or birth date leaves the ledger here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select, tuple_
from sqlalchemy.orm import Session

from derm_pacs.domain.case import State, Step
from derm_pacs.domain.findings import BundleIdentity, OperatingPoint, RunRole
from derm_pacs.domain.study import CloseReason, InstanceRole, SpoolPlace
from derm_pacs.ledger.cases import newest
from derm_pacs.ledger.reading_results import DeliveryLine, ResultLine, deliveries, results
from derm_pacs.ledger.tables import (
    Bundle,
    Case,
    Event,
    FindingRow,
    Instance,
    Peer,
    Revision,
    RevisionInstance,
    RunRow,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseLine:
    """A case in a list: where its newest revision stands."""

    case_id: int
    study_instance_uid: str
    revision: int
    revision_id: int
    state: State
    reason_code: str | None
    images: int
    """Images of the newest revision so far."""
    attempts: int
    """Tries of the present stage."""
    first_received_at: datetime
    last_received_at: datetime
    changed_at: datetime
    """When the newest revision took its last step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WalkStep:
    """A step that a revision took; the opening has neither `from_state` nor `step`."""

    at: datetime
    from_state: State | None
    step: Step | None
    to_state: State
    actor: str
    reason_code: str | None
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedObject:
    """An object of a case, as it lies in the spool."""

    instance_id: int
    role: InstanceRole
    current: bool
    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    transfer_syntax_uid: str
    modality: str
    number_of_frames: int
    sha256: str
    sender: str
    """AE title from which it came."""
    received_at: datetime
    place: SpoolPlace
    revisions: tuple[int, ...]
    """Numbers of the revisions to which it belongs."""
    unreadable: str | None
    """Why the header cannot be read, None where it can."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingLine:
    """What a run says of one frame; `data` is by `kind` as `ledger.runs` keeps it."""

    sop_instance_uid: str
    frame: int
    output: str
    kind: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLine:
    """One bundle on a revision, with the operating points that it was begun with."""

    bundle: BundleIdentity
    role: RunRole
    operating_points: tuple[OperatingPoint, ...]
    started_at: datetime
    finished_at: datetime | None
    reused: bool
    """Whether the findings were taken over from an earlier revision's run on the same pixels."""
    findings: tuple[FindingLine, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RevisionStory:
    """Everything about one revision."""

    revision_id: int
    number: int
    state: State
    hash: str | None
    first_received_at: datetime
    last_received_at: datetime
    closed_at: datetime | None
    close_reason: CloseReason | None
    held_in: State | None
    reason_code: str | None
    reason_detail: str | None
    attempts: int
    last_error: str | None
    walk: tuple[WalkStep, ...]
    runs: tuple[RunLine, ...]
    results: tuple[ResultLine, ...]
    deliveries: tuple[DeliveryLine, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseStory:
    """A case with its whole story, revisions rising."""

    case_id: int
    study_instance_uid: str
    created_at: datetime
    objects: tuple[ReceivedObject, ...]
    revisions: tuple[RevisionStory, ...]


def cases(tx: Session, *, state: State | None = None, limit: int) -> tuple[CaseLine, ...]:
    """Return the cases whose newest revision last took a step, newest first; `state` narrows to one state."""
    changed = select(func.max(Event.at)).where(Event.revision_id == Revision.id).scalar_subquery()
    images = select(func.count()).where(RevisionInstance.revision_id == Revision.id).scalar_subquery()
    query = (
        select(Revision, Case.study_instance_uid, changed, images)
        .join(Case, Case.id == Revision.case_id)
        .where(tuple_(Revision.case_id, Revision.number).in_(newest()))
        .order_by(changed.desc(), Revision.id.desc())
        .limit(limit)
    )
    if state is not None:
        query = query.where(Revision.state == state)
    return tuple(
        CaseLine(
            case_id=row.case_id,
            study_instance_uid=study,
            revision=row.number,
            revision_id=row.id,
            state=row.state,
            reason_code=row.reason_code,
            images=count,
            attempts=row.attempts,
            first_received_at=row.first_received_at,
            last_received_at=row.last_received_at,
            changed_at=at,
        )
        for row, study, at, count in tx.execute(query)
    )


def case_id_of(tx: Session, key: str) -> int | None:
    """Return the id of the case that `key` names, by its number or its Study Instance UID; None where there is none."""
    wanted = Case.id == int(key) if key.isdecimal() and len(key) < 19 else Case.study_instance_uid == key
    return tx.scalars(select(Case.id).where(wanted)).one_or_none()


def story(tx: Session, case_id: int) -> CaseStory:
    """Return a case with its whole story; raises `sqlalchemy.exc.NoResultFound` where there is no such case."""
    case = tx.get_one(Case, case_id)
    revisions = tx.scalars(select(Revision).where(Revision.case_id == case_id).order_by(Revision.number)).all()
    return CaseStory(
        case_id=case.id,
        study_instance_uid=case.study_instance_uid,
        created_at=case.created_at,
        objects=_objects(tx, case_id),
        revisions=tuple(_revision(tx, row) for row in revisions),
    )


def _objects(tx: Session, case_id: int) -> tuple[ReceivedObject, ...]:
    numbers: dict[int, list[int]] = {}
    belonging = (
        select(RevisionInstance.instance_id, Revision.number)
        .join(Revision, Revision.id == RevisionInstance.revision_id)
        .where(Revision.case_id == case_id)
        .order_by(Revision.number)
    )
    for instance_id, number in tx.execute(belonging):
        numbers.setdefault(instance_id, []).append(number)
    rows = tx.execute(
        select(Instance, Peer.ae_title)
        .join(Peer, Peer.id == Instance.peer_id)
        .where(Instance.case_id == case_id)
        .order_by(Instance.received_at, Instance.id)
    )
    return tuple(
        ReceivedObject(
            instance_id=row.id,
            role=row.role,
            current=row.current,
            sop_class_uid=row.sop_class_uid,
            sop_instance_uid=row.sop_instance_uid,
            series_instance_uid=row.series_instance_uid,
            transfer_syntax_uid=row.transfer_syntax_uid,
            modality=row.modality,
            number_of_frames=row.number_of_frames,
            sha256=row.sha256,
            sender=sender,
            received_at=row.received_at,
            place=SpoolPlace(listener=row.listener, segment=row.segment, offset=row.offset, length=row.length),
            revisions=tuple(numbers.get(row.id, ())),
            unreadable=row.unreadable,
        )
        for row, sender in rows
    )


def _revision(tx: Session, row: Revision) -> RevisionStory:
    return RevisionStory(
        revision_id=row.id,
        number=row.number,
        state=row.state,
        hash=row.hash,
        first_received_at=row.first_received_at,
        last_received_at=row.last_received_at,
        closed_at=row.closed_at,
        close_reason=row.close_reason,
        held_in=row.held_in,
        reason_code=row.reason_code,
        reason_detail=row.reason_detail,
        attempts=row.attempts,
        last_error=row.last_error,
        walk=_walk(tx, row.id),
        runs=_runs(tx, row.id),
        results=results(tx, row.id),
        deliveries=deliveries(tx, row.id),
    )


def _walk(tx: Session, revision_id: int) -> tuple[WalkStep, ...]:
    return tuple(
        WalkStep(
            at=row.at, from_state=row.from_state, step=row.step, to_state=row.to_state, actor=row.actor,
            reason_code=row.reason_code, detail=row.detail,
        )
        for row in tx.scalars(select(Event).where(Event.revision_id == revision_id).order_by(Event.id))
    )


def _runs(tx: Session, revision_id: int) -> tuple[RunLine, ...]:
    rows = tx.execute(
        select(RunRow, Bundle)
        .join(Bundle, Bundle.id == RunRow.bundle_id)
        .where(RunRow.revision_id == revision_id)
        .order_by(RunRow.id)
    )
    return tuple(
        RunLine(
            bundle=BundleIdentity(
                name=bundle.name, version=bundle.version, content_hash=bundle.content_hash, title=bundle.title, grade=bundle.grade,
            ),
            role=run.role,
            operating_points=tuple(OperatingPoint(**point) for point in run.operating_points),
            started_at=run.started_at,
            finished_at=run.finished_at,
            reused=run.reused_from is not None,
            findings=_findings(tx, run.id),
        )
        for run, bundle in rows
    )


def _findings(tx: Session, run_id: int) -> tuple[FindingLine, ...]:
    # The masks stay where they are: a reader of figures has no use for them.
    columns = (Instance.sop_instance_uid, FindingRow.frame, FindingRow.output, FindingRow.kind, FindingRow.data)
    rows = tx.execute(
        select(*columns)
        .join(Instance, Instance.id == FindingRow.instance_id)
        .where(FindingRow.run_id == run_id)
        .order_by(Instance.sop_instance_uid, FindingRow.frame, FindingRow.output, FindingRow.kind, FindingRow.ordinal)
    )
    return tuple(
        FindingLine(sop_instance_uid=uid, frame=frame, output=output, kind=kind, data=data)
        for uid, frame, output, kind, data in rows
    )

"""Filing: a record of the spool becomes rows of the ledger, the same rows however often it is filed.

What decides is in the spool alone (the bytes and the time of receipt), so a ledger that is filed again from its
beginning names the same cases, revisions and instances. What persons decided (cancel, retry) is not in the spool.
"""

import json
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from derm_pacs.domain.case import State
from derm_pacs.domain.classes import ANALYSABLE
from derm_pacs.domain.commitment import Reported
from derm_pacs.domain.errors import Defect, Rejected
from derm_pacs.domain.reasons import DEFECT
from derm_pacs.domain.study import Arrivals, Complete, InstanceRole, Placement, Quiet, SpoolPlace, completeness, place
from derm_pacs.ledger import cases, deliveries, header, patients
from derm_pacs.ledger.header import HeaderFacts
from derm_pacs.ledger.result_tables import ResultRow
from derm_pacs.ledger.tables import (
    Case,
    Facility,
    Instance,
    Lesion,
    LesionInstance,
    Peer,
    Revision,
    RevisionInstance,
    SpoolPosition,
)
from derm_pacs.spool.read import Position, SpooledRecord

ACTOR = "filing"
_ANALYSABLE = frozenset(one.uid for one in ANALYSABLE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filed:
    """What became of an object's record."""

    case_id: int
    instance_id: int
    role: InstanceRole
    placement: Placement | None
    """None for objects that are no images."""
    revision_id: int | None
    """The revision that the image opened or joined."""
    closed: int | None = None
    """The revision that had to be closed first; its job is due."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Object:
    """A record's object as filing sees it."""

    facts: HeaderFacts | None
    """None where the header cannot be read."""
    unreadable: str | None
    role: InstanceRole
    sha256: str
    study_instance_uid: str
    series_instance_uid: str
    sop_class_uid: str
    sop_instance_uid: str


def ensure_facility(tx: Session, name: str) -> int:
    """Return the facility's id; it is made where it is missing."""
    tx.execute(insert(Facility).values(name=name).on_conflict_do_nothing())
    return tx.execute(select(Facility.id).where(Facility.name == name)).scalar_one()


def position(tx: Session, listener: str) -> Position:
    """Return up to where a listener's spool is filed."""
    row = tx.get(SpoolPosition, listener)
    return Position(row.segment, row.offset) if row is not None else Position(0, 0)


def advance(tx: Session, listener: str, position: Position, drained_at: datetime | None) -> None:
    """Say that a listener's spool is filed up to a position, in the transaction that filed it.

    `drained_at`: a time before which nothing was received that is not filed; None keeps the earlier one. Neither goes
    back.
    """
    tx.execute(insert(SpoolPosition).values(listener=listener, segment=0, offset=0).on_conflict_do_nothing())
    row = tx.execute(
        select(SpoolPosition).where(SpoolPosition.listener == listener).with_for_update()
        .execution_options(populate_existing=True)
    ).scalar_one()
    furthest = max(position, Position(row.segment, row.offset))
    row.segment, row.offset = furthest.segment, furthest.offset
    if drained_at is not None and (row.drained_at is None or row.drained_at < drained_at):
        row.drained_at = drained_at
    tx.flush()


def file_record(
    tx: Session, record: SpooledRecord, payload: bytes, *, facility_id: int, quiet: Quiet, now: datetime
) -> Filed:
    """File an object's record; filing it again changes nothing.

    The records of a listener are filed in their order, each in a transaction that also advances its position. An image
    opens a revision, joins the one that is receiving, or is a resend; an object of ours or of another kind is kept with
    its case and does nothing to it. Two records of several listeners for one study wait for one another.
    """
    given = _look(tx, record, payload)
    case_id = _case(tx, facility_id, given.study_instance_uid, now)
    known = tx.scalars(
        select(Instance).where(
            Instance.facility_id == facility_id, Instance.sop_instance_uid == given.sop_instance_uid,
            Instance.sha256 == given.sha256,
        )
    ).one_or_none()
    if known is not None and (known.current or record.next <= position(tx, record.place.listener)):
        is_image = known.role in cases.MEMBERS
        return Filed(
            case_id=known.case_id, instance_id=known.id, role=known.role,
            placement=Placement.SAME if is_image else None, revision_id=None,
        )
    replaced = _replace_current(tx, case_id, given.sop_instance_uid)
    instance = known if known is not None else _new_instance(
        tx, record, given, facility_id=facility_id, case_id=case_id, now=now
    )
    instance.current = True
    # The newest copy is where later revisions read it: retention may have deleted the earlier one.
    place = record.place
    instance.listener, instance.segment, instance.offset, instance.length = (
        place.listener, place.segment, place.offset, place.length,
    )
    tx.flush()
    if instance.role not in cases.MEMBERS:
        return Filed(case_id=case_id, instance_id=instance.id, role=instance.role, placement=None, revision_id=None)
    if known is None and given.facts is not None:
        _link_lesion(tx, case_id, instance.id, given.facts)
    return _place(tx, instance, replaced, quiet=quiet, received_at=record.header.received_at, now=now)


def file_report(tx: Session, record: SpooledRecord, payload: bytes, *, now: datetime) -> int | None:
    """Keep a storage commitment report with its transaction and return the delivery that it is about.

    None where we never asked for such a transaction. Raises `Defect` where the payload is not what our listener writes.
    """
    return deliveries.keep_report(tx, _reported(payload, record.place), now)


def _reported(payload: bytes, place: SpoolPlace) -> Reported:
    try:
        said = json.loads(payload)
        return Reported(
            transaction_uid=str(said["transaction_uid"]),
            committed=frozenset(str(uid) for uid in said["committed"]),
            failed=tuple((str(uid), int(reason)) for uid, reason in said["failed"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        where = f"{place.listener}, segment {place.segment}, offset {place.offset}"
        raise Defect(DEFECT, f"the commitment report at {where} is not in the listener's form") from error


def _look(tx: Session, record: SpooledRecord, payload: bytes) -> _Object:
    """Read the header; where it cannot be read, what the listener saw at the association stands for it."""
    said = record.header
    try:
        facts = header.read_header(payload)
    except Rejected as rejected:
        ours = _is_result_of_ours(tx, said.sop_instance_uid)
        role = _role(said.sop_class_uid, ours=ours)
        unreadable = rejected.detail if role is InstanceRole.IMAGE else None
        return _Object(
            facts=None,
            unreadable=unreadable,
            role=InstanceRole.UNREADABLE if unreadable is not None else role,
            sha256=header.data_set_sha256(payload),
            study_instance_uid=said.study_instance_uid,
            series_instance_uid=said.series_instance_uid,
            sop_class_uid=said.sop_class_uid,
            sop_instance_uid=said.sop_instance_uid,
        )
    return _Object(
        facts=facts,
        unreadable=None,
        role=_role(facts.sop_class_uid, ours=facts.ours or _is_result_of_ours(tx, facts.sop_instance_uid)),
        sha256=facts.sha256,
        study_instance_uid=facts.study_instance_uid,
        series_instance_uid=facts.series_instance_uid,
        sop_class_uid=facts.sop_class_uid,
        sop_instance_uid=facts.sop_instance_uid,
    )


def _role(sop_class_uid: str, *, ours: bool) -> InstanceRole:
    if ours:
        return InstanceRole.OURS
    return InstanceRole.IMAGE if sop_class_uid in _ANALYSABLE else InstanceRole.OTHER


def _is_result_of_ours(tx: Session, sop_instance_uid: str) -> bool:
    return tx.scalar(select(ResultRow.id).where(ResultRow.sop_instance_uid == sop_instance_uid)) is not None


def _case(tx: Session, facility_id: int, study_instance_uid: str, now: datetime) -> int:
    """Return the study's case, locked until the transaction ends; it is made where it is missing."""
    tx.execute(
        insert(Case).values(facility_id=facility_id, study_instance_uid=study_instance_uid, created_at=now)
        .on_conflict_do_nothing()
    )
    return tx.execute(
        select(Case.id).where(Case.facility_id == facility_id, Case.study_instance_uid == study_instance_uid)
        .with_for_update()
    ).scalar_one()


def _replace_current(tx: Session, case_id: int, sop_instance_uid: str) -> int | None:
    """Take back the content that stood for an SOP Instance UID until now; return its row."""
    before = tx.scalars(
        select(Instance).where(
            Instance.case_id == case_id, Instance.sop_instance_uid == sop_instance_uid, Instance.current
        )
    ).one_or_none()
    if before is None:
        return None
    before.current = False
    tx.flush()
    return before.id


def _new_instance(
    tx: Session, record: SpooledRecord, given: _Object, *, facility_id: int, case_id: int, now: datetime
) -> Instance:
    facts = given.facts
    place = record.place
    instance = Instance(
        facility_id=facility_id,
        case_id=case_id,
        patient_id=_patient(tx, facility_id, facts, newest=given.role is InstanceRole.IMAGE) if facts else None,
        peer_id=_peer(tx, facility_id, record),
        role=given.role,
        current=True,
        sop_class_uid=given.sop_class_uid,
        sop_instance_uid=given.sop_instance_uid,
        series_instance_uid=given.series_instance_uid,
        study_instance_uid=given.study_instance_uid,
        transfer_syntax_uid=facts.transfer_syntax_uid if facts else record.header.transfer_syntax_uid,
        sha256=given.sha256,
        pixel_sha256=facts.pixel_sha256 if facts else None,
        modality=facts.modality if facts else "",
        study_date=facts.study_date if facts else None,
        number_of_frames=facts.number_of_frames if facts else 1,
        listener=place.listener,
        segment=place.segment,
        offset=place.offset,
        length=place.length,
        received_at=record.header.received_at,
        filed_at=now,
        unreadable=given.unreadable,
    )
    tx.add(instance)
    return instance


def _peer(tx: Session, facility_id: int, record: SpooledRecord) -> int:
    at = record.header.received_at
    statement = insert(Peer).values(
        facility_id=facility_id, ae_title=record.header.calling_ae, first_seen_at=at, last_seen_at=at
    )
    return tx.execute(
        statement.on_conflict_do_update(
            index_elements=[Peer.facility_id, Peer.ae_title],
            set_={
                "first_seen_at": func.least(Peer.first_seen_at, statement.excluded.first_seen_at),
                "last_seen_at": func.greatest(Peer.last_seen_at, statement.excluded.last_seen_at),
            },
        ).returning(Peer.id)
    ).scalar_one()


def _patient(tx: Session, facility_id: int, facts: HeaderFacts, *, newest: bool) -> int | None:
    if not facts.patient_id:
        return None
    said = patients.Demographics(
        patient_id=facts.patient_id, issuer=facts.issuer, name=facts.name, birth_date=facts.birth_date, sex=facts.sex
    )
    return patients.remember(tx, facility_id, said, newest=newest)


def _link_lesion(tx: Session, case_id: int, instance_id: int, facts: HeaderFacts) -> None:
    """Say which lesion an image shows; one that names neither lesion nor site stands for itself alone."""
    if facts.tracking_uid:
        named = Lesion.tracking_uid == facts.tracking_uid
    elif facts.site_code:
        named = (
            Lesion.tracking_uid.is_(None)
            & (Lesion.site_code == facts.site_code) & (Lesion.laterality == facts.laterality)
        )
    else:
        return
    lesion_id = tx.scalar(select(Lesion.id).where(Lesion.case_id == case_id, named))
    if lesion_id is None:
        lesion = Lesion(
            case_id=case_id, tracking_uid=facts.tracking_uid or None, tracking_id=facts.tracking_id or None,
            site_code=facts.site_code, laterality=facts.laterality,
        )
        tx.add(lesion)
        tx.flush()
        lesion_id = lesion.id
    tx.add(LesionInstance(lesion_id=lesion_id, instance_id=instance_id))
    tx.flush()


def _place(
    tx: Session, instance: Instance, replaced: int | None, *, quiet: Quiet, received_at: datetime, now: datetime
) -> Filed:
    # The lock keeps the clock from closing the revision while an image joins it.
    open_one = tx.scalars(
        select(Revision).where(Revision.case_id == instance.case_id, Revision.state == State.RECEIVING).with_for_update()
    ).one_or_none()
    arrivals = (
        Arrivals(first_at=open_one.first_received_at, last_at=open_one.last_received_at) if open_one is not None else None
    )
    any_revision = tx.scalar(select(Revision.id).where(Revision.case_id == instance.case_id).limit(1)) is not None
    placement = place(
        known_in_case=False, receiving=arrivals, any_revision=any_revision, quiet=quiet, received_at=received_at
    )
    closed: int | None = None
    if placement is Placement.JOINS and open_one is not None:
        revision_id = open_one.id
        _join(tx, open_one, instance.id, replaced, received_at)
    else:
        if open_one is not None and arrivals is not None:
            complete = completeness(arrivals, quiet, received_at)
            if isinstance(complete, Complete):
                cases.close(tx, open_one.id, complete, actor=ACTOR, now=now)
                closed = open_one.id
        revision_id = cases.open_revision(
            tx, instance.case_id, Arrivals(first_at=received_at, last_at=received_at), actor=ACTOR, now=now
        )
        cases.set_members(tx, revision_id, instance.case_id)
    return Filed(
        case_id=instance.case_id, instance_id=instance.id, role=instance.role, placement=placement,
        revision_id=revision_id, closed=closed,
    )


def _join(tx: Session, revision: Revision, instance_id: int, replaced: int | None, received_at: datetime) -> None:
    if replaced is not None:
        tx.execute(delete(RevisionInstance).where(
            RevisionInstance.revision_id == revision.id, RevisionInstance.instance_id == replaced
        ))
    tx.add(RevisionInstance(revision_id=revision.id, instance_id=instance_id))
    revision.first_received_at = min(revision.first_received_at, received_at)
    revision.last_received_at = max(revision.last_received_at, received_at)
    tx.flush()

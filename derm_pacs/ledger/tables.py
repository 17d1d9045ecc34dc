"""The ledger's tables, typed; the migrations under `alembic/` make them, a test holds both to one another.

What is composed and delivered stands in `result_tables.py`.

Every time is `timestamptz` in UTC. Patient data stands in `patients` alone, so that one table can be erased.
CHECKs are made from the domain's enums; the trigger on `revisions.state` and the rows of `allowed_steps` are
written out in the migration and compared with `domain.case.TRANSITIONS` by a test.
"""

from datetime import date, datetime

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from derm_pacs.domain.case import State, Step
from derm_pacs.domain.findings import Grade, RunRole
from derm_pacs.domain.study import CloseReason, InstanceRole
from derm_pacs.ledger.columns import Base, Json, one_of, primary_id, reference, word


class Facility(Base):
    """A hospital or department; one by default."""

    __tablename__ = "facilities"
    id: Mapped[int] = primary_id()
    name: Mapped[str] = mapped_column(unique=True)


class Peer(Base):
    """An application entity that has sent to us."""

    __tablename__ = "peers"
    __table_args__ = (UniqueConstraint("facility_id", "ae_title"),)
    id: Mapped[int] = primary_id()
    facility_id: Mapped[int] = reference("facilities.id")
    ae_title: Mapped[str]
    first_seen_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]


class Patient(Base):
    """The only table with patient data; an erased row keeps its id and nothing else."""

    __tablename__ = "patients"
    __table_args__ = (
        UniqueConstraint("facility_id", "patient_id", "issuer"),
        CheckConstraint("(erased_at IS NULL) = (patient_id IS NOT NULL AND issuer IS NOT NULL)", name="named"),
        CheckConstraint("erased_at IS NULL OR num_nonnulls(patient_id, issuer, name, birth_date, sex) = 0", name="erased"),
    )
    id: Mapped[int] = primary_id()
    facility_id: Mapped[int] = reference("facilities.id")
    patient_id: Mapped[str | None]
    issuer: Mapped[str | None]
    name: Mapped[str | None]
    birth_date: Mapped[date | None]
    sex: Mapped[str | None]
    erased_at: Mapped[datetime | None]


class Case(Base):
    """One study's walk: (facility, Study Instance UID), whoever sent its parts."""

    __tablename__ = "cases"
    __table_args__ = (UniqueConstraint("facility_id", "study_instance_uid"),)
    id: Mapped[int] = primary_id()
    facility_id: Mapped[int] = reference("facilities.id")
    study_instance_uid: Mapped[str]
    created_at: Mapped[datetime]


class Revision(Base):
    """The set of a case's images as of its closing; `ledger.cases.take` is the only writer of `state`."""

    __tablename__ = "revisions"
    __table_args__ = (
        UniqueConstraint("case_id", "number"),
        Index("revisions_one_receiving_idx", "case_id", unique=True, postgresql_where=text("state = 'receiving'")),
        Index("revisions_state_idx", "state"),
        CheckConstraint("number >= 1", name="number"),
        CheckConstraint("(closed_at IS NULL) = (close_reason IS NULL) AND (closed_at IS NULL) = (hash IS NULL)", name="closed"),
        CheckConstraint("(state = 'held') = (held_in IS NOT NULL)", name="held"),
        one_of("state", State),
        one_of("held_in", State),
        one_of("close_reason", CloseReason),
    )
    id: Mapped[int] = primary_id()
    case_id: Mapped[int] = reference("cases.id")
    number: Mapped[int]
    state: Mapped[State] = mapped_column(word(State))
    hash: Mapped[str | None]
    first_received_at: Mapped[datetime]
    last_received_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]
    close_reason: Mapped[CloseReason | None] = mapped_column(word(CloseReason))
    held_in: Mapped[State | None] = mapped_column(word(State))
    reason_code: Mapped[str | None]
    reason_detail: Mapped[str | None]
    route: Mapped[Json | None]
    composed_with: Mapped[Json | None]
    attempts: Mapped[int] = mapped_column(server_default="0")
    first_failed_at: Mapped[datetime | None]
    last_error: Mapped[str | None]


class Instance(Base):
    """An object of the spool: (SOP Instance UID, SHA-256 of its data set); one content is the current one."""

    __tablename__ = "instances"
    __table_args__ = (
        UniqueConstraint("facility_id", "sop_instance_uid", "sha256"),
        UniqueConstraint("listener", "segment", "offset"),
        Index("instances_one_current_idx", "case_id", "sop_instance_uid", unique=True, postgresql_where=text("current")),
        CheckConstraint("(role = 'unreadable') = (unreadable IS NOT NULL)", name="unreadable"),
        one_of("role", InstanceRole),
    )
    id: Mapped[int] = primary_id()
    facility_id: Mapped[int] = reference("facilities.id")
    case_id: Mapped[int] = reference("cases.id", index=True)
    patient_id: Mapped[int | None] = reference("patients.id", index=True)
    peer_id: Mapped[int] = reference("peers.id")
    role: Mapped[InstanceRole] = mapped_column(word(InstanceRole))
    current: Mapped[bool]
    sop_class_uid: Mapped[str]
    sop_instance_uid: Mapped[str]
    series_instance_uid: Mapped[str]
    study_instance_uid: Mapped[str]
    transfer_syntax_uid: Mapped[str]
    sha256: Mapped[str]
    pixel_sha256: Mapped[str | None]
    modality: Mapped[str]
    study_date: Mapped[date | None]
    number_of_frames: Mapped[int]
    listener: Mapped[str]
    segment: Mapped[int]
    offset: Mapped[int]
    length: Mapped[int]
    received_at: Mapped[datetime]
    filed_at: Mapped[datetime]
    unreadable: Mapped[str | None]


class RevisionInstance(Base):
    """An image belongs to a revision."""

    __tablename__ = "revision_instances"
    revision_id: Mapped[int] = reference("revisions.id", primary_key=True)
    instance_id: Mapped[int] = reference("instances.id", primary_key=True, index=True)


class Lesion(Base):
    """A lesion of a case: by its tracking UID where the image has one, else by site and laterality."""

    __tablename__ = "lesions"
    __table_args__ = (
        Index("lesions_tracking_idx", "case_id", "tracking_uid", unique=True, postgresql_where=text("tracking_uid IS NOT NULL")),
        Index("lesions_site_idx", "case_id", "site_code", "laterality", unique=True, postgresql_where=text("tracking_uid IS NULL")),
        CheckConstraint("tracking_uid IS NOT NULL OR (site_code IS NOT NULL AND laterality IS NOT NULL)", name="named"),
    )
    id: Mapped[int] = primary_id()
    case_id: Mapped[int] = reference("cases.id")
    tracking_uid: Mapped[str | None]
    tracking_id: Mapped[str | None]
    site_code: Mapped[str | None]
    laterality: Mapped[str | None]


class LesionInstance(Base):
    """An image shows a lesion."""

    __tablename__ = "lesion_instances"
    lesion_id: Mapped[int] = reference("lesions.id", primary_key=True)
    instance_id: Mapped[int] = reference("instances.id", primary_key=True, index=True)


class Bundle(Base):
    """An installed version of a bundle; a (name, version) is never used twice for other bytes."""

    __tablename__ = "bundles"
    __table_args__ = (
        UniqueConstraint("name", "version"),
        Index("bundles_one_active_idx", "name", unique=True, postgresql_where=text("active")),
        one_of("grade", Grade),
    )
    id: Mapped[int] = primary_id()
    name: Mapped[str]
    version: Mapped[str]
    content_hash: Mapped[str] = mapped_column(unique=True)
    title: Mapped[str]
    grade: Mapped[Grade] = mapped_column(word(Grade))
    licence: Mapped[str]
    folder: Mapped[str]
    installed_at: Mapped[datetime]
    active: Mapped[bool]


class OperatingPointRow(Base):
    """A threshold and who set it; the latest is current, the earlier ones stay."""

    __tablename__ = "operating_points"
    __table_args__ = (
        Index("operating_points_one_current_idx", "bundle_id", "point_id", unique=True, postgresql_where=text("current")),
        CheckConstraint("threshold BETWEEN 0 AND 1", name="threshold"),
    )
    id: Mapped[int] = primary_id()
    bundle_id: Mapped[int] = reference("bundles.id")
    point_id: Mapped[str]
    output: Mapped[str]
    positive: Mapped[str]
    threshold: Mapped[float]
    set_by: Mapped[str]
    reason: Mapped[str]
    set_at: Mapped[datetime]
    current: Mapped[bool]


class RouteRow(Base):
    """A route as the settings named it when a run used it."""

    __tablename__ = "routes"
    id: Mapped[int] = primary_id()
    name: Mapped[str]
    digest: Mapped[str] = mapped_column(unique=True)
    definition: Mapped[Json]
    seen_at: Mapped[datetime]


class RunRow(Base):
    """One bundle on one revision, with the settings that made it."""

    __tablename__ = "runs"
    __table_args__ = (
        Index("runs_one_active_idx", "revision_id", "bundle_id", unique=True, postgresql_where=text("role = 'active'")),
        one_of("role", RunRole),
    )
    id: Mapped[int] = primary_id()
    revision_id: Mapped[int] = reference("revisions.id")
    bundle_id: Mapped[int] = reference("bundles.id")
    route_id: Mapped[int | None] = reference("routes.id")
    role: Mapped[RunRole] = mapped_column(word(RunRole))
    settings: Mapped[Json]
    operating_points: Mapped[list[Json]]
    lesion_rules: Mapped[list[Json]] = mapped_column(server_default="[]")
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    reused_from: Mapped[int | None] = reference("runs.id")


class FindingRow(Base):
    """What a run says of one frame of one image; `ordinal` counts what it says alike of several crops of it.

    `mask` is the packed mask of a segmentation, `saliency` the compressed grid of a classification.
    """

    __tablename__ = "findings"
    __table_args__ = (UniqueConstraint("run_id", "instance_id", "frame", "kind", "output", "ordinal"),)
    id: Mapped[int] = primary_id()
    run_id: Mapped[int] = reference("runs.id")
    instance_id: Mapped[int] = reference("instances.id", index=True)
    lesion_id: Mapped[int | None] = reference("lesions.id", index=True)
    frame: Mapped[int]
    output: Mapped[str]
    ordinal: Mapped[int] = mapped_column(server_default="0")
    kind: Mapped[str]
    data: Mapped[Json]
    mask: Mapped[bytes | None]
    saliency: Mapped[bytes | None]


class SpoolPosition(Base):
    """Up to where a listener's spool is filed; `drained_at` is when its end was last reached."""

    __tablename__ = "spool_positions"
    listener: Mapped[str] = mapped_column(primary_key=True)
    segment: Mapped[int]
    offset: Mapped[int]
    drained_at: Mapped[datetime | None]


class Fault(Base):
    """A condition that a person can mend: opened when it holds, cleared when it does not."""

    __tablename__ = "faults"
    __table_args__ = (Index("faults_one_open_idx", "key", unique=True, postgresql_where=text("cleared_at IS NULL")),)
    id: Mapped[int] = primary_id()
    key: Mapped[str]
    reason_code: Mapped[str]
    detail: Mapped[str]
    opened_at: Mapped[datetime]
    cleared_at: Mapped[datetime | None]


class ClockRun(Base):
    """A tick of the clock; the key keeps a tick from running twice."""

    __tablename__ = "clock_runs"
    name: Mapped[str] = mapped_column(primary_key=True)
    due_at: Mapped[datetime] = mapped_column(primary_key=True)
    ran_at: Mapped[datetime]
    note: Mapped[str]


class AllowedStep(Base):
    """A row of `domain.case.TRANSITIONS`, for the database's own refusal."""

    __tablename__ = "allowed_steps"
    from_state: Mapped[State] = mapped_column(word(State), primary_key=True)
    step: Mapped[Step] = mapped_column(word(Step), primary_key=True)
    to_state: Mapped[State] = mapped_column(word(State), primary_key=True)


class Event(Base):
    """A step that a revision took; the opening has neither `from_state` nor `step`."""

    __tablename__ = "events"
    __table_args__ = (
        ForeignKeyConstraint(["from_state", "step", "to_state"], [AllowedStep.from_state, AllowedStep.step, AllowedStep.to_state]),
        CheckConstraint("CASE WHEN step IS NULL THEN from_state IS NULL AND to_state = 'receiving' ELSE from_state IS NOT NULL END", name="opening"),
        Index("events_revision_idx", "revision_id", "id"),
    )
    id: Mapped[int] = primary_id()
    revision_id: Mapped[int] = reference("revisions.id")
    from_state: Mapped[State | None] = mapped_column(word(State))
    step: Mapped[Step | None] = mapped_column(word(Step))
    to_state: Mapped[State] = mapped_column(word(State))
    actor: Mapped[str]
    reason_code: Mapped[str | None]
    detail: Mapped[str]
    at: Mapped[datetime]


class AuditRow(Base):
    """Who did what, why; each row's hash covers the row before. Only `ledger.audit.append` adds rows."""

    __tablename__ = "audit"
    __table_args__ = (CheckConstraint("id >= 1", name="id"),)
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    at: Mapped[datetime]
    actor: Mapped[str]
    action: Mapped[str]
    subject: Mapped[str]
    reason: Mapped[str]
    detail: Mapped[Json]
    previous_hash: Mapped[str]
    hash: Mapped[str]

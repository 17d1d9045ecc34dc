"""The ledger's tables of what is composed, what of it is in which edition, and how it is delivered."""

from datetime import date, datetime

from sqlalchemy import Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from derm_pacs.domain.composed import Form
from derm_pacs.domain.delivery import DeliveryState, Proof
from derm_pacs.ledger.columns import Base, Json, one_of, primary_id, reference, word


class ResultRow(Base):
    """A composed object; an instance's UID never stands for two different byte strings."""

    __tablename__ = "results"
    __table_args__ = (one_of("form", Form),)
    id: Mapped[int] = primary_id()
    revision_id: Mapped[int] = reference("revisions.id", index=True)
    form: Mapped[Form] = mapped_column(word(Form))
    sop_class_uid: Mapped[str]
    sop_instance_uid: Mapped[str] = mapped_column(unique=True)
    series_instance_uid: Mapped[str]
    transfer_syntax_uid: Mapped[str]
    sha256: Mapped[str]
    length: Mapped[int]
    about: Mapped[list[str]]
    composed_at: Mapped[datetime]


class EditionObject(Base):
    """An object belongs to an edition of a revision's results; editions share the objects in which they do not differ."""

    __tablename__ = "edition_objects"
    __table_args__ = (UniqueConstraint("revision_id", "edition", "ordinal"),)
    revision_id: Mapped[int] = reference("revisions.id", primary_key=True)
    edition: Mapped[str] = mapped_column(primary_key=True)
    result_id: Mapped[int] = reference("results.id", primary_key=True, index=True)
    ordinal: Mapped[int]


class LesionVisitRow(Base):
    """What a revision said of one lesion, kept for a later visit; written once, never changed."""

    __tablename__ = "lesion_visits"
    __table_args__ = (UniqueConstraint("revision_id", "tracking_uid"),)
    id: Mapped[int] = primary_id()
    revision_id: Mapped[int] = reference("revisions.id")
    tracking_uid: Mapped[str]
    tracked: Mapped[bool]
    site: Mapped[str | None]
    laterality: Mapped[str | None]
    study_date: Mapped[date | None]
    report: Mapped[Json]
    images: Mapped[list[Json]]
    probabilities: Mapped[list[Json]]
    area: Mapped[float | None]
    diameter: Mapped[float | None]
    share: Mapped[float | None]
    outlined_by: Mapped[list[str]]


class AgreementRow(Base):
    """The edition that a destination took when it was last asked for a wanted one."""

    __tablename__ = "agreements"
    destination: Mapped[str] = mapped_column(primary_key=True)
    wanted_key: Mapped[str] = mapped_column(primary_key=True)
    agreed_key: Mapped[str]
    left_out: Mapped[list[str]]
    agreed_at: Mapped[datetime]


class DeliveryRow(Base):
    """One revision's results on their way to one destination, in one edition."""

    __tablename__ = "deliveries"
    __table_args__ = (
        UniqueConstraint("revision_id", "destination"),
        Index("deliveries_state_idx", "state"),
        one_of("state", DeliveryState),
        one_of("proof", Proof),
    )
    id: Mapped[int] = primary_id()
    revision_id: Mapped[int] = reference("revisions.id")
    destination: Mapped[str]
    state: Mapped[DeliveryState] = mapped_column(word(DeliveryState))
    edition: Mapped[str | None]
    left_out: Mapped[list[str]] = mapped_column(server_default="[]")
    proof: Mapped[Proof | None] = mapped_column(word(Proof))
    attempts: Mapped[int] = mapped_column(server_default="0")
    first_attempt_at: Mapped[datetime | None]
    next_attempt_at: Mapped[datetime | None]
    deadline: Mapped[datetime | None]
    reason_code: Mapped[str | None]
    reason_detail: Mapped[str | None]
    finished_at: Mapped[datetime | None]


class DeliveredObject(Base):
    """A result that a destination has acknowledged, with the status it gave."""

    __tablename__ = "delivered_objects"
    delivery_id: Mapped[int] = reference("deliveries.id", primary_key=True)
    result_id: Mapped[int] = reference("results.id", primary_key=True, index=True)
    status: Mapped[int]
    sent_at: Mapped[datetime]


class CommitmentTransaction(Base):
    """A storage commitment that we asked for (PS3.4 annex J)."""

    __tablename__ = "commitment_transactions"
    id: Mapped[int] = primary_id()
    transaction_uid: Mapped[str] = mapped_column(unique=True)
    delivery_id: Mapped[int] = reference("deliveries.id", index=True)
    asked_at: Mapped[datetime]
    deadline: Mapped[datetime]
    reported_at: Mapped[datetime | None]
    report: Mapped[Json | None]

"""The forms of the ledger's columns: how a Python type is stored, and how an enum is checked."""

from datetime import date, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Date,
    DateTime,
    Double,
    Enum,
    ForeignKey,
    Identity,
    LargeBinary,
    MetaData,
    Text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

Json = dict[str, Any]
"""A JSON object, as `jsonb` keeps it."""


class Base(DeclarativeBase):
    """All tables of the ledger."""

    metadata = MetaData(naming_convention={
        "pk": "%(table_name)s_pkey",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
        "ck": "%(table_name)s_%(constraint_name)s_check",
    })
    type_annotation_map = {  # noqa: RUF012  (SQLAlchemy reads this name of the class)
        str: Text(),
        int: BigInteger(),
        float: Double(),
        bytes: LargeBinary(),
        date: Date(),
        datetime: DateTime(timezone=True),
        Json: JSONB(),
        list[str]: JSONB(),
        list[Json]: JSONB(),
    }


def word(kind: type[StrEnum]) -> Enum:
    """Return the column type of an enum: its values as text of at most 32 characters."""
    return Enum(
        kind, native_enum=False, create_constraint=False, length=32,
        values_callable=lambda members: [member.value for member in members],
    )


def one_of(column: str, kind: type[StrEnum]) -> CheckConstraint:
    """Return the CHECK that a column holds a value of the enum."""
    values = ", ".join(f"'{member.value}'" for member in kind)
    return CheckConstraint(f"{column} IN ({values})", name=column)


def primary_id() -> Mapped[int]:
    """Return the column of an id that the database gives."""
    return mapped_column(Identity(always=True), primary_key=True)


def reference(column: str, *, primary_key: bool = False, index: bool = False) -> Any:
    """Return a foreign key; untyped, since the field says whether it may be null."""
    return mapped_column(ForeignKey(column), primary_key=primary_key, index=index or None)

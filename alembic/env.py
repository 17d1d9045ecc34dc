"""Runs the migrations on one connection, in one transaction: a failing migration leaves nothing behind."""

from alembic import context
from sqlalchemy import create_engine, make_url, pool, text

from derm_pacs.ledger import result_tables, tables
from derm_pacs.ledger.columns import Base

MIGRATION_LOCK = 4_715_001  # of pg_advisory_xact_lock: two programs started at once migrate one after the other
TABLES = (tables, result_tables)  # importing them puts their tables into the metadata


def is_ours(name: str | None, kind: str, _parents: dict[str, str | None]) -> bool:
    """Leave Procrastinate's tables out of the comparison: its own files make them."""
    return not (kind == "table" and name is not None and name.startswith("procrastinate"))


def run() -> None:
    """Connect and migrate."""
    url = context.config.attributes.get("url") or context.get_x_argument(as_dictionary=True)["url"]
    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"), poolclass=pool.NullPool)
    with engine.connect() as connection:
        context.configure(connection=connection, target_metadata=Base.metadata, include_name=is_ours, compare_type=True)
        with context.begin_transaction():
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
            context.run_migrations()


run()

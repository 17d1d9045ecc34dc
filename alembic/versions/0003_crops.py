"""Findings of crops: a bundle may say several things alike of one frame."""

from pathlib import Path

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

STATEMENTS = Path(__file__).parents[1] / "sql"


def upgrade() -> None:
    run_file(STATEMENTS / "0003_crops.sql")


def downgrade() -> None:
    run_file(STATEMENTS / "0003_back.sql")


def run_file(path: Path) -> None:
    """Give the file to the driver as it is: SQLAlchemy would take its % for parameters."""
    op.get_bind().connection.driver_connection.execute(path.read_text(encoding="utf-8"))

"""The first schema: our tables, the database's own refusals, and Procrastinate's tables.

Everything is written out (here and in the files beside), so that this revision makes the same schema whatever the
program says later.
"""

from pathlib import Path

import sqlalchemy as sa
from alembic import op
from procrastinate.schema import SchemaManager

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# The transition table of cases as of this revision: from, step, to.
ALLOWED_STEPS = (
    ("receiving", "close", "queued"),
    ("receiving", "reject", "rejected"),
    ("receiving", "hold", "held"),
    ("receiving", "cancel", "cancelled"),
    ("queued", "begin_analysis", "analysing"),
    ("queued", "hold", "held"),
    ("queued", "cancel", "cancelled"),
    ("analysing", "finish_analysis", "composing"),
    ("analysing", "reject", "rejected"),
    ("analysing", "hold", "held"),
    ("analysing", "cancel", "cancelled"),
    ("composing", "finish_composing", "delivering"),
    ("composing", "reject", "rejected"),
    ("composing", "hold", "held"),
    ("composing", "cancel", "cancelled"),
    ("delivering", "confirm", "confirmed"),
    ("delivering", "end_unconfirmed", "unconfirmed"),
    ("delivering", "reject", "rejected"),
    ("delivering", "hold", "held"),
    ("delivering", "cancel", "cancelled"),
    ("confirmed", "supersede", "superseded"),
    ("unconfirmed", "supersede", "superseded"),
    ("rejected", "supersede", "superseded"),
    ("held", "retry_receiving", "receiving"),
    ("held", "retry_analysis", "queued"),
    ("held", "retry_composing", "composing"),
    ("held", "retry_delivery", "delivering"),
    ("held", "cancel", "cancelled"),
    ("held", "supersede", "superseded"),
    ("cancelled", "supersede", "superseded"),
)

# Procrastinate 3.10.0's own migrations, in the order in which they apply.
PROCRASTINATE_FILES = (
    "00.00.00_01_initial.sql",
    "00.05.00_01_drop_started_at_column.sql",
    "00.05.00_02_drop_started_at_column.sql",
    "00.05.00_03_drop_procrastinate_version_table.sql",
    "00.06.00_01_fix_procrastinate_fetch_job.sql",
    "00.07.01_01_fix_trigger_status_events_insert.sql",
    "00.08.01_01_add_queueing_lock_column.sql",
    "00.10.00_01_close_fetch_job_race_condition.sql",
    "00.10.00_02_add_defer_job_function.sql",
    "00.11.00_03_add_procrastinate_periodic_defers.sql",
    "00.12.00_01_add_foreign_key_index.sql",
    "00.14.00_01_add_locks_to_periodic_defer.sql",
    "00.15.02_01_fix_procrastinate_defer_periodic_job.sql",
    "00.16.00_01_add_finish_job_and_retry_job_functions.sql",
    "00.17.00_01_add_trigger_on_job_deletion.sql",
    "00.17.00_02_delete_finished_jobs.sql",
    "00.17.00_03_add_checks_to_finish_job.sql",
    "00.17.00_04_add_checks_to_retry_job.sql",
    "00.18.01_01_fix_finish_job_compat_issue.sql",
    "00.19.00_01_add_index_on_procrastinate_jobs.sql",
    "00.22.00_01_add_kwargs_to_defer_periodic_job.sql",
    "00.23.00_01_null_locks_excluded.sql",
    "01.00.00_01_remove_old_finish_job_function.sql",
    "01.01.01_01_job_id_bigint.sql",
    "02.00.03_01_add_job_priority.sql",
    "02.05.00_01_add_periodic_job_priority.sql",
    "02.06.00_01_add_cancel_states.sql",
    "02.08.00_01_add_additional_params_to_retry_job.sql",
    "02.14.01_01_add_indexes_for_fetch_job.sql",
    "03.00.00_01_pre_cancel_notification.sql",
    "03.00.00_50_post_cancel_notification.sql",
    "03.01.00_01_pre_add_heartbeat.sql",
    "03.01.00_50_post_add_heartbeat.sql",
    "03.02.00_01_pre_batch_defer_jobs.sql",
    "03.02.00_50_post_batch_defer_jobs.sql",
    "03.03.00_01_pre_priority_lock_fetch_job.sql",
    "03.04.00_01_pre_add_retry_failed_job_procedure.sql",
    "03.04.00_50_post_add_retry_failed_job_procedure.sql",
)

# In the order in which they are made.
TABLES = (
    "allowed_steps",
    "audit",
    "bundles",
    "clock_runs",
    "facilities",
    "faults",
    "routes",
    "spool_positions",
    "cases",
    "operating_points",
    "patients",
    "peers",
    "instances",
    "lesions",
    "revisions",
    "deliveries",
    "events",
    "lesion_instances",
    "results",
    "revision_instances",
    "runs",
    "commitment_transactions",
    "delivered_objects",
    "findings",
)
FUNCTIONS = ("revision_opens", "revision_steps", "revision_told", "only_appended")

STATEMENTS = Path(__file__).parents[1] / "sql"


def upgrade() -> None:
    run_file(STATEMENTS / "0001_tables.sql")
    op.bulk_insert(
        sa.table("allowed_steps", sa.column("from_state"), sa.column("step"), sa.column("to_state")),
        [dict(zip(("from_state", "step", "to_state"), row, strict=True)) for row in ALLOWED_STEPS],
    )
    run_file(STATEMENTS / "0001_refusals.sql")
    for name in PROCRASTINATE_FILES:
        run_file(Path(SchemaManager.get_migrations_path()) / name)


def downgrade() -> None:
    run_file(STATEMENTS / "0001_drop_procrastinate.sql")
    for table in reversed(TABLES):
        op.drop_table(table)
    for function in FUNCTIONS:
        op.execute(f"DROP FUNCTION derm_pacs_{function}()")


def run_file(path: Path) -> None:
    """Give the file to the driver as it is: SQLAlchemy would take its % for parameters."""
    op.get_bind().connection.driver_connection.execute(path.read_text(encoding="utf-8"))

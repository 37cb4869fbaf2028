"""The queue's limits and order, triggers, what schedules fired, what retention keeps."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

QUEUED = sa.text("state = 'queued'")


def upgrade() -> None:
    for column in (
        sa.Column("max_running", sa.Integer()),
        sa.Column("pool", sa.String(length=64)),
        sa.Column("served_at", sa.BigInteger()),
    ):
        op.add_column("jobs", column)
    for column in (
        sa.Column("overlap", sa.String(length=8), nullable=False, server_default="allow"),
        sa.Column("priority", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("pool", sa.String(length=64)),
        sa.Column("not_before_at", sa.BigInteger()),
        sa.Column("queue_expires_at", sa.BigInteger()),
        sa.Column("caused_by", sa.String(length=32)),
        sa.Column("pinned", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("kept_bytes", sa.BigInteger()),
        sa.Column("pruned_at", sa.BigInteger()),
    ):
        op.add_column("runs", column)
    _index_runs()
    _let_schedules_end()
    op.create_table(
        "triggers",
        sa.Column("job_id", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name=op.f("fk_triggers_job_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("job_id", "kind", "name", name=op.f("pk_triggers")),
    )
    op.create_index("ix_triggers_kind_name", "triggers", ["kind", "name"])


def _index_runs() -> None:
    op.create_index("ix_runs_job_id_created_at_id", "runs", ["job_id", "created_at", "id"])
    op.create_index("ix_runs_job_id_caused_by", "runs", ["job_id", "caused_by"], unique=True)
    for name, *columns in (
        ("ix_runs_queue", "job_id", "priority", "number", "not_before_at"),
        ("ix_runs_queue_expires_at", "queue_expires_at"),
        ("ix_runs_queue_not_before_at", "not_before_at"),
    ):
        op.create_index(name, "runs", columns, sqlite_where=QUEUED, postgresql_where=QUEUED)


def _let_schedules_end() -> None:
    """A schedule with an end has no next fire after it; with a jitter it is due later."""
    op.drop_index("ix_schedules_due", "schedules")
    with op.batch_alter_table("schedules") as batch:
        batch.alter_column("next_fire_at", existing_type=sa.BigInteger(), nullable=True)
        batch.add_column(sa.Column("due_at", sa.BigInteger()))
        batch.add_column(sa.Column("fired_at", sa.BigInteger()))
    op.execute("UPDATE schedules SET due_at = next_fire_at")
    op.create_index("ix_schedules_due", "schedules", ["paused", "due_at"])

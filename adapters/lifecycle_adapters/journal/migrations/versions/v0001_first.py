"""The first schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "lifecycle_tasks",
        sa.Column("id", _NUMBER, primary_key=True),
        sa.Column("lifecycle", sa.Text, nullable=False),
        sa.Column("task_id", sa.Text, nullable=False),
        sa.Column("state", sa.Text),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("as_of", sa.BigInteger),
        sa.Column("since", sa.BigInteger),
        sa.Column("first_at", sa.BigInteger),
        sa.Column("changed_at", sa.BigInteger, nullable=False),
        sa.Column("last_status", sa.Text),
        sa.Column("last_channel", sa.Text),
        sa.Column("last_times", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("task_id", "lifecycle", name="lifecycle_tasks_by_name"),
        sqlite_autoincrement=True,
    )
    op.create_index("lifecycle_tasks_by_state", "lifecycle_tasks", ["lifecycle", "state", "id"])
    op.create_index("lifecycle_tasks_by_change", "lifecycle_tasks", ["changed_at"])
    op.create_table(
        "lifecycle_commands",
        sa.Column("id", _NUMBER, primary_key=True),
        sa.Column("task", _NUMBER, sa.ForeignKey("lifecycle_tasks.id", ondelete="CASCADE"), nullable=False),
        sa.Column("command", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("is_open", sa.Boolean, nullable=False),
        sa.Column("fields", sa.JSON, nullable=False),
        sa.Column("attempts", sa.BigInteger, nullable=False),
        sa.Column("key", sa.Text),
        sa.Column("origin", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("worker", sa.Text, nullable=False),
        sa.Column("session", sa.Text, nullable=False),
        sa.Column("held_at", sa.BigInteger),
        sa.UniqueConstraint("task", "key", name="lifecycle_commands_by_key"),
        sqlite_autoincrement=True,
    )
    is_open = sa.text("is_open")
    op.create_index(
        "lifecycle_commands_open",
        "lifecycle_commands",
        ["task"],
        unique=True,
        sqlite_where=is_open,
        postgresql_where=is_open,
    )
    op.create_table(
        "lifecycle_entries",
        sa.Column("id", _NUMBER, primary_key=True),
        sa.Column("xact", sa.BigInteger, nullable=False),
        sa.Column("task", _NUMBER, sa.ForeignKey("lifecycle_tasks.id", ondelete="CASCADE"), nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("worker", sa.Text, nullable=False),
        sa.Column("status", sa.Text),
        sa.Column("channel", sa.Text),
        sa.Column("as_of", sa.BigInteger),
        sa.Column("before", sa.Text),
        sa.Column("kind", sa.Text),
        sa.Column("path", sa.Text),
        sa.Column("state", sa.Text),
        sa.Column("late", sa.Boolean),
        sa.Column("unconfirmed", sa.Boolean),
        sa.Column("times_before", sa.BigInteger, nullable=False),
        sa.Column("command", _NUMBER),
        sa.Column("event", sa.Text),
        sa.Column("command_state", sa.Text),
        sa.Column("attempts", sa.BigInteger),
        sa.Column("why", sa.Text),
        sqlite_autoincrement=True,
    )
    op.create_index("lifecycle_entries_by_task", "lifecycle_entries", ["task", "id"])
    op.create_index("lifecycle_entries_by_xact", "lifecycle_entries", ["xact", "id"])
    op.create_table(
        "lifecycle_deliveries",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("sent_at", sa.BigInteger, nullable=False),
        sa.Column("received_at", sa.BigInteger, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("lifecycle", sa.Text),
        sa.Column("task_id", sa.Text),
    )
    op.create_index("lifecycle_deliveries_by_task", "lifecycle_deliveries", ["task_id", "lifecycle"])
    op.create_index("lifecycle_deliveries_by_time", "lifecycle_deliveries", ["received_at"])

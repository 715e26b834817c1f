"""Creates are recorded before their request is sent."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "lifecycle_creates",
        sa.Column("id", _NUMBER, primary_key=True),
        sa.Column("lifecycle", sa.Text, nullable=False),
        sa.Column("key", sa.Text),
        sa.Column("fields", sa.JSON, nullable=False),
        sa.Column("labels", sa.JSON, nullable=False),
        sa.Column("origin", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("recorded_at", sa.BigInteger, nullable=False),
        sa.Column("recorded_by", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("is_open", sa.Boolean, nullable=False),
        sa.Column("may_have_made", sa.Boolean, nullable=False),
        sa.Column("attempts", sa.BigInteger, nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("task_id", sa.Text),
        sa.Column("changed_at", sa.BigInteger, nullable=False),
        sa.Column("claim", sa.BigInteger, nullable=False),
        sa.Column("worker", sa.Text, nullable=False),
        sa.Column("session", sa.Text, nullable=False),
        sa.Column("held_at", sa.BigInteger),
        sqlite_autoincrement=True,
    )
    for name, columns, unique, where in (
        ("lifecycle_creates_by_key", ["lifecycle", "key"], True, "may_have_made"),
        ("lifecycle_creates_open", ["lifecycle", "id"], False, "is_open"),
    ):
        condition = sa.text(where)
        op.create_index(
            name, "lifecycle_creates", columns, unique=unique, sqlite_where=condition, postgresql_where=condition
        )
    op.create_index("lifecycle_creates_by_task", "lifecycle_creates", ["task_id", "lifecycle"])

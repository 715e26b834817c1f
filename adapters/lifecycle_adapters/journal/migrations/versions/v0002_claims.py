"""Claims are counted, final states can be doubted, and tasks say when they were created."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the columns."""
    op.add_column("lifecycle_tasks", sa.Column("doubt", sa.Text))
    op.add_column("lifecycle_tasks", sa.Column("created_at", sa.BigInteger))
    op.add_column("lifecycle_commands", sa.Column("claim", sa.BigInteger, nullable=False, server_default="1"))

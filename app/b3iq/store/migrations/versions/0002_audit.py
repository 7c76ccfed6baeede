"""The audit log."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "audit_event",
        sa.Column("sequence", sa.Integer, sa.CheckConstraint("sequence >= 1"), primary_key=True),
        sa.Column("event_hash", sa.String(64), nullable=False, unique=True),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )

"""Sessions that can be listed and proved, and the owner's second factor."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_TIME = sa.String(27)


def upgrade() -> None:
    """Add columns and tables; a release before this one works on with them."""
    op.add_column(
        "owner", sa.Column("generation", sa.Integer, nullable=False, server_default=sa.text("1"))
    )
    op.add_column("session", sa.Column("session_id", sa.String(12)))
    op.add_column("session", sa.Column("browser", sa.String))
    op.add_column("session", sa.Column("proved_at", _TIME))
    # Whoever is logged in stays so.
    op.execute("UPDATE session SET session_id = lower(hex(randomblob(6)))")
    op.create_table(
        "login_challenge",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("generation", sa.Integer),
        sa.Column("opened_at", _TIME, nullable=False),
    )
    op.create_table(
        "second_factor",
        sa.Column("id", sa.Integer, sa.CheckConstraint("id = 1"), primary_key=True),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("begun_at", _TIME, nullable=False),
        sa.Column("confirmed_at", _TIME),
        sa.Column("last_step", sa.Integer),
    )
    op.create_table("recovery_code", sa.Column("digest", sa.String(64), primary_key=True))

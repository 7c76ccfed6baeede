"""The owner's passkeys, and the challenges that wait for one."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

_TIME = sa.String(27)


def upgrade() -> None:
    """Add two tables; a release before this one does not look at them."""
    op.create_table(
        "passkey",
        sa.Column("passkey_id", sa.String(12), primary_key=True),
        sa.Column("credential_id", sa.LargeBinary, nullable=False, unique=True),
        sa.Column("public_key", sa.LargeBinary, nullable=False),
        sa.Column("sign_count", sa.Integer, nullable=False),
        sa.Column("rp_id", sa.String, nullable=False),
        sa.Column("origin", sa.String, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("last_used_at", _TIME),
    )
    op.create_table(
        "passkey_challenge",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("purpose", sa.String(8), nullable=False),
        sa.Column("holder", sa.String, nullable=False),
        sa.Column("opened_at", _TIME, nullable=False),
    )

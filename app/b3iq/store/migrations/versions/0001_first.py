"""The first schema: owner, sessions, keys, throttle and receipts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_TIME = sa.String(27)


def upgrade() -> None:
    """Create the tables."""
    _create_access_tables()
    _create_receipt_tables()


def _create_access_tables() -> None:
    op.create_table(
        "owner",
        sa.Column("id", sa.Integer, sa.CheckConstraint("id = 1"), primary_key=True),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("password_hash", sa.String, nullable=False),
        sa.Column("claimed_at", _TIME, nullable=False),
    )
    op.create_table(
        "setup_token",
        sa.Column("id", sa.Integer, sa.CheckConstraint("id = 1"), primary_key=True),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("minted_at", _TIME, nullable=False),
        sa.Column("expires_at", _TIME, nullable=False),
    )
    op.create_table(
        "session",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("owner_id", sa.Integer, nullable=False),
        sa.Column("opened_at", _TIME, nullable=False),
        sa.Column("seen_at", _TIME, nullable=False),
    )
    op.create_table(
        "local_key",
        sa.Column("key_id", sa.String(12), primary_key=True),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("scopes", sa.String, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("expires_at", _TIME),
        sa.Column("revoked_at", _TIME),
        sa.Column("last_used_at", _TIME),
    )
    op.create_table(
        "login_throttle",
        sa.Column("client", sa.String, primary_key=True),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("failed_at", _TIME, nullable=False),
    )


def _create_receipt_tables() -> None:
    op.create_table(
        "node",
        sa.Column("id", sa.Integer, sa.CheckConstraint("id = 1"), primary_key=True),
        sa.Column("node_id", sa.String, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
    )
    op.create_table(
        "receipt",
        sa.Column("receipt_id", sa.String, primary_key=True),
        sa.Column("opened_at", _TIME, nullable=False),
        sa.Column("model_id", sa.String, nullable=False),
        sa.Column("model_digest", sa.String(64), nullable=False),
        sa.Column("runtime_kind", sa.String, nullable=False),
        sa.Column("local_key_id", sa.String(12)),
        sa.Column("prompt_tokens", sa.Integer, nullable=False),
        sa.Column("completion_tokens", sa.Integer, nullable=False),
        sa.Column("sequence", sa.Integer, unique=True),
        sa.Column("receipt_hash", sa.String(64), unique=True),
        sa.Column("body", sa.LargeBinary),
        sa.Column("signature", sa.String),
    )
    op.create_index(
        "receipt_open", "receipt", ["opened_at"], sqlite_where=sa.text("sequence IS NULL")
    )

"""Limits and rotation of local keys; when a receipt was sealed, and receipts by key.

Expands only: keys and receipts that are there have none of it and go on as before.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_TIME = sa.String(27)


def upgrade() -> None:
    """Add the columns and the index."""
    op.add_column("local_key", sa.Column("limits", sa.String))
    op.add_column("local_key", sa.Column("generation", sa.Integer))
    op.add_column("local_key", sa.Column("previous_digest", sa.String(64)))
    op.add_column("local_key", sa.Column("previous_until", _TIME))
    op.add_column("receipt", sa.Column("sealed_at", _TIME))
    op.create_index("receipt_of_key", "receipt", ["local_key_id", "sequence"])

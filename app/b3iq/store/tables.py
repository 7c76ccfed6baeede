"""The tables of the node's database, as SQLAlchemy Core describes them.

No column holds a secret in the clear: credentials are kept as keyed digests (see
`b3iq.credentials.tokens.digest`), the password as an argon2id hash, the one secret that
the node must read again as ciphertext. Migrations expand before they contract, so that a
rolled-back release still reads its data.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import (
    CheckConstraint,
    Column,
    Dialect,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    TypeDecorator,
    text,
)

metadata = MetaData()


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC time as fixed-width RFC 3339 text, so that text order is time order."""

    impl = String(27)
    cache_ok = True

    # The signatures are SQLAlchemy's: hence the unused `dialect`.
    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Aware time to text; a naive time is a programming error."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("times in the database are aware")
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def process_result_value(self, value: str | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Text to aware time."""
        if value is None:
            return None
        return datetime.fromisoformat(value)


# One row at most: the check makes a second owner impossible, whatever the code does.
owner = Table(
    "owner",
    metadata,
    Column("id", Integer, CheckConstraint("id = 1"), primary_key=True),
    Column("name", String, nullable=False),
    Column("password_hash", String, nullable=False),
    Column("claimed_at", UtcDateTime, nullable=False),
    # Counts the changes of the password: a login that began before one is void.
    Column("generation", Integer, nullable=False, server_default=text("1")),
)

# One row at most: minting again replaces, and so invalidates, the token before.
setup_token = Table(
    "setup_token",
    metadata,
    Column("id", Integer, CheckConstraint("id = 1"), primary_key=True),
    Column("digest", String(64), nullable=False),
    Column("minted_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
)

session = Table(
    "session",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("owner_id", Integer, nullable=False),
    Column("opened_at", UtcDateTime, nullable=False),
    Column("seen_at", UtcDateTime, nullable=False),
    # Null in what a release before 0004 opened: such a session cannot be named, and has ended.
    Column("session_id", String(12)),
    # Words of a closed set (`b3iq.node.browsers`), not what the browser sent.
    Column("browser", String),
    # When the owner last showed password and code in this session.
    Column("proved_at", UtcDateTime),
)

# A login between its two pages. `generation` is null if the password was wrong, which is not
# said before the code was looked at.
login_challenge = Table(
    "login_challenge",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("generation", Integer),
    Column("opened_at", UtcDateTime, nullable=False),
)

# One row at most, in force once it is confirmed. `sealed` is the TOTP secret under a key that
# is not in the database; `last_step` the last time step of which a code was used (RFC 6238).
second_factor = Table(
    "second_factor",
    metadata,
    Column("id", Integer, CheckConstraint("id = 1"), primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
    Column("begun_at", UtcDateTime, nullable=False),
    Column("confirmed_at", UtcDateTime),
    Column("last_step", Integer),
)

# The recovery codes that are left; using one removes it.
recovery_code = Table(
    "recovery_code",
    metadata,
    Column("digest", String(64), primary_key=True),
)

# The owner's passkeys. Nothing here is secret: the private key never leaves the authenticator.
passkey = Table(
    "passkey",
    metadata,
    Column("passkey_id", String(12), primary_key=True),
    Column("credential_id", LargeBinary, nullable=False, unique=True),
    # COSE_Key, as the authenticator gave it (RFC 9052 section 7).
    Column("public_key", LargeBinary, nullable=False),
    # How often the authenticator says it was used; 0 from those that do not count.
    Column("sign_count", Integer, nullable=False),
    # The host name and the whole origin that it belongs to: under another it opens nothing.
    Column("rp_id", String, nullable=False),
    Column("origin", String, nullable=False),
    Column("name", String, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("last_used_at", UtcDateTime),
)

# What a passkey was asked to sign and has not yet. `holder` is the session it is for or, at a
# login, the client.
passkey_challenge = Table(
    "passkey_challenge",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("purpose", String(8), nullable=False),
    Column("holder", String, nullable=False),
    Column("opened_at", UtcDateTime, nullable=False),
)

local_key = Table(
    "local_key",
    metadata,
    Column("key_id", String(12), primary_key=True),
    Column("name", String, nullable=False),
    Column("digest", String(64), nullable=False),
    # Space-separated, sorted (the form of OAuth scopes, RFC 6749 section 3.3).
    Column("scopes", String, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime),
    Column("revoked_at", UtcDateTime),
    Column("last_used_at", UtcDateTime),
    # `b3iq.credentials.limits` as JSON; null is a key without limits.
    Column("limits", String),
    # How often the key was rotated (null: never), and the secret before while it is still good.
    Column("generation", Integer),
    Column("previous_digest", String(64)),
    Column("previous_until", UtcDateTime),
)

login_throttle = Table(
    "login_throttle",
    metadata,
    Column("client", String, primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("failed_at", UtcDateTime, nullable=False),
)

# The public name of the node, kept when its identity key is rotated.
node = Table(
    "node",
    metadata,
    Column("id", Integer, CheckConstraint("id = 1"), primary_key=True),
    Column("node_id", String, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)

# Open while `sequence` is null; sealing fills the second half in one transaction.
receipt = Table(
    "receipt",
    metadata,
    Column("receipt_id", String, primary_key=True),
    Column("opened_at", UtcDateTime, nullable=False),
    Column("model_id", String, nullable=False),
    Column("model_digest", String(64), nullable=False),
    Column("runtime_kind", String, nullable=False),
    # For the owner's eyes; not in the signed body, which may become public.
    Column("local_key_id", String(12)),
    # The last counts written while the stream ran; what a crash leaves behind.
    Column("prompt_tokens", Integer, nullable=False),
    Column("completion_tokens", Integer, nullable=False),
    Column("sequence", Integer, unique=True),
    Column("receipt_hash", String(64), unique=True),
    Column("body", LargeBinary),
    Column("signature", String),
    # The time in `body`, for the counts of `b3iq.receipts.usage`; null on receipts before them.
    Column("sealed_at", UtcDateTime),
    Index("receipt_of_key", "local_key_id", "sequence"),
    Index("receipt_open", "opened_at", sqlite_where=Column("sequence").is_(None)),
)

# The body is the whole truth of an event; the columns beside it only find it.
audit_event = Table(
    "audit_event",
    metadata,
    Column("sequence", Integer, CheckConstraint("sequence >= 1"), primary_key=True),
    Column("event_hash", String(64), nullable=False, unique=True),
    Column("body", LargeBinary, nullable=False),
)

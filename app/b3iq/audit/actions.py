"""The closed set of what is recorded, and the details that each action has.

A line here is a promise to whoever reads the log: lines are added, never changed or taken
away. See the law in `b3iq.audit.record`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from b3iq.audit.record import ActorKind

Action = Literal[
    "audit_log_accepted",
    "local_key_created",
    "local_key_limited",
    "local_key_revoked",
    "local_key_rotated",
    "login",
    "login_refused",
    "login_throttled",
    "logout",
    "node_claimed",
    "owner_recovered",
    "owner_renamed",
    "passkey_added",
    "passkey_removed",
    "password_changed",
    "proof_refused",
    "recovery_codes_renewed",
    "recovery_refused",
    "recovery_token_minted",
    "second_factor_disabled",
    "second_factor_enabled",
    "session_revoked",
    "sessions_revoked",
    "setup_claim_refused",
    "setup_token_minted",
    "update_requested",
]
# `day_count`: how often this was refused to this client on this day (UTC), this time included.
Refusal = Literal[
    "login_refused", "login_throttled", "proof_refused", "recovery_refused", "setup_claim_refused"
]

DETAILS: dict[Action, frozenset[str]] = {
    "audit_log_accepted": frozenset({"fault", "checkpoint_size"}),
    "local_key_created": frozenset({"scopes", "limits", "expires_at"}),
    "local_key_limited": frozenset({"limits", "expires_at"}),
    "local_key_revoked": frozenset(),
    "local_key_rotated": frozenset({"generation", "previous_until"}),
    "login": frozenset(),
    "login_refused": frozenset({"day_count"}),
    "login_throttled": frozenset({"day_count"}),
    "logout": frozenset(),
    "node_claimed": frozenset(),
    "owner_recovered": frozenset({"sessions_ended"}),
    "owner_renamed": frozenset({"sessions_ended"}),
    "passkey_added": frozenset(),
    "passkey_removed": frozenset({"sessions_ended"}),
    "password_changed": frozenset({"sessions_ended"}),
    "proof_refused": frozenset({"day_count"}),
    "recovery_codes_renewed": frozenset(),
    "recovery_refused": frozenset({"day_count"}),
    "recovery_token_minted": frozenset({"expires_at"}),
    "second_factor_disabled": frozenset(),
    "second_factor_enabled": frozenset({"sessions_ended"}),
    "session_revoked": frozenset(),
    "sessions_revoked": frozenset({"sessions_ended"}),
    "setup_claim_refused": frozenset({"day_count"}),
    "setup_token_minted": frozenset({"expires_at"}),
    "update_requested": frozenset({"verb"}),
}


@dataclass(frozen=True)
class Actor:
    """Who acts, and from where."""

    kind: ActorKind
    client: str


NODE = Actor("node", "local")

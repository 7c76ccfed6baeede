"""What the console's table of recent activity shows of the audit log, in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from pydantic import ValidationError

from b3iq.audit.actions import Action
from b3iq.audit.log import Entry
from b3iq.audit.record import ActorKind, AuditEvent
from b3iq.console.rows import moment

_WHO: dict[ActorKind, str] = {
    "admin": "Administrator",
    "owner": "Owner",
    "setup": "Setup link",
    "visitor": "Somebody",
    "node": "The node itself",
}
_WHAT: dict[Action, str] = {
    "audit_log_accepted": "Log fault accepted",
    "local_key_created": "Created a local key",
    "local_key_limited": "Changed a key's limits",
    "local_key_revoked": "Revoked a local key",
    "local_key_rotated": "Rotated a local key",
    "login": "Logged in",
    "login_refused": "Login refused",
    "login_throttled": "Login made to wait",
    "logout": "Logged out",
    "node_claimed": "Claimed the node",
    "owner_recovered": "Recovered the owner",
    "owner_renamed": "Changed the owner's name",
    "passkey_added": "Added a passkey",
    "passkey_removed": "Removed a passkey",
    "password_changed": "Changed the password",
    "proof_refused": "Password, code or passkey refused",
    "recovery_codes_renewed": "Made new recovery codes",
    "recovery_refused": "Recovery refused",
    "recovery_token_minted": "Made a recovery link",
    "second_factor_disabled": "Second factor turned off",
    "second_factor_enabled": "Second factor turned on",
    "session_revoked": "Ended a session",
    "sessions_revoked": "Ended other sessions",
    "setup_claim_refused": "Claim refused",
    "setup_token_minted": "Made a setup link",
    "update_requested": "Asked the updater",
}
_BADGES: dict[Action, str] = {
    "audit_log_accepted": "badge-danger",
    "login_refused": "badge-warn",
    "login_throttled": "badge-warn",
    "owner_recovered": "badge-warn",
    "proof_refused": "badge-warn",
    "recovery_refused": "badge-warn",
    "setup_claim_refused": "badge-warn",
}
_PLACES = {"local": "this machine", "loopback": "this machine", "others": "several places"}


@dataclass(frozen=True)
class ActivityRow:
    """A line of the table; `style` is the class of its badge, if it has one."""

    time: str
    who: str
    where: str
    what: str
    style: str
    about: str

    @classmethod
    def of(cls, entry: Entry, names_of_keys: Mapping[str, str]) -> ActivityRow:
        """The line of one event; one that cannot be read is shown as such, never hidden."""
        try:
            event = AuditEvent.model_validate(entry.event)
            time = moment(datetime.fromisoformat(event.at), seconds=True)
        except (ValidationError, ValueError):
            return cls("unknown", "unknown", "unknown", "Entry was changed", "badge-danger", "")
        known = {str(action): words for action, words in _WHAT.items()}
        styles = {str(action): style for action, style in _BADGES.items()}
        return cls(
            time=time,
            who=_WHO[event.actor],
            where=_PLACES.get(event.client, event.client),
            # A newer release may have written what this one has no words for.
            what=known.get(event.action, event.action.replace("_", " ")),
            style=styles.get(event.action, ""),
            about=_about(event, names_of_keys),
        )


def _about(event: AuditEvent, names_of_keys: Mapping[str, str]) -> str:
    count = event.details.get("day_count")
    if isinstance(count, int) and count > 1:
        return f"{count} times that day"
    if event.subject is None:
        return ""
    return names_of_keys.get(event.subject, event.subject)

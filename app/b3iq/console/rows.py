"""What the console's tables show, as text: no logic in templates."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from b3iq.credentials.keys import LocalKey
from b3iq.credentials.limits import KeyLimits
from b3iq.credentials.passkeys import Passkey
from b3iq.credentials.sessions import OpenSession
from b3iq.receipts.record import Receipt, Status

SCOPES = {
    "inference": "run models",
    "metrics": "read metrics",
}
_BADGES: dict[Status, str] = {
    "completed": "badge-ok",
    "aborted": "badge-warn",
    "interrupted": "badge-warn",
    "failed": "badge-danger",
}


def moment(time: datetime, *, seconds: bool = False) -> str:
    """An aware time in UTC for a person, such as ``4 Nov 2026, 09:05``."""
    utc = time.astimezone(UTC)
    clock = utc.strftime("%H:%M:%S" if seconds else "%H:%M")
    return f"{utc.day} {utc.strftime('%b %Y')}, {clock}"


def scope_text(scopes: tuple[str, ...]) -> str:
    """What a key with these scopes may do, in words."""
    return ", ".join(SCOPES.get(scope, scope) for scope in scopes)


def limit_text(limits: KeyLimits) -> str:
    """The limits of a key in words; empty without any."""
    told = [
        f"{number:,} {what}"
        for number, what in (
            (limits.requests_per_minute, "requests/min"),
            (limits.tokens_per_minute, "tokens/min"),
            (limits.concurrency, "at once"),
        )
        if number is not None
    ]
    if limits.models is not None:
        told.append(f"models: {', '.join(limits.models) or 'none'}")
    if limits.addresses is not None:
        told.append(f"from {', '.join(limits.addresses) or 'nowhere'}")
    return ", ".join(told)


@dataclass(frozen=True)
class KeyRow:
    """A line of the table of local keys; `state` is active, revoked or expired."""

    id: str
    name: str
    scopes: str
    created: str
    last_used: str
    state: str
    limits: str
    expiry: str
    previous_until: str

    @classmethod
    def of(cls, key: LocalKey, now: datetime) -> KeyRow:
        """The line of one key, as it is at that time."""
        expired = "active" if key.is_live(now) else "expired"
        return cls(
            id=key.key_id,
            name=key.name,
            scopes=scope_text(key.scopes),
            created=moment(key.created_at),
            last_used=moment(key.last_used_at) if key.last_used_at else "never",
            state="revoked" if key.revoked_at else expired,
            limits=limit_text(key.limits),
            expiry=f"Expires on {moment(key.expires_at)} (UTC)."
            if key.expires_at
            else "It does not expire.",
            previous_until=moment(key.previous_until)
            if key.previous_until and now < key.previous_until
            else "",
        )


@dataclass(frozen=True)
class SessionRow:
    """A line of the table of sessions; `is_this` is the one that looks at it."""

    id: str
    browser: str
    opened: str
    seen: str
    is_this: bool

    @classmethod
    def of(cls, session: OpenSession, this: str) -> SessionRow:
        """The line of one open session."""
        return cls(
            id=session.session_id,
            browser=session.browser,
            opened=moment(session.opened_at),
            seen=moment(session.seen_at),
            is_this=session.session_id == this,
        )


@dataclass(frozen=True)
class PasskeyRow:
    """A line of the table of passkeys; `origin` is the address that it works under."""

    id: str
    name: str
    origin: str
    created: str
    last_used: str

    @classmethod
    def of(cls, passkey: Passkey) -> PasskeyRow:
        """The line of one passkey."""
        return cls(
            id=passkey.passkey_id,
            name=passkey.name,
            origin=passkey.origin,
            created=moment(passkey.created_at),
            last_used=moment(passkey.last_used_at) if passkey.last_used_at else "never",
        )


@dataclass(frozen=True)
class ReceiptRow:
    """A line of the table of receipts; `style` is the class of its status badge."""

    time: str
    status: str
    style: str
    model: str
    prompt_tokens: int
    completion_tokens: int
    hash: str

    @classmethod
    def of(cls, receipt: Receipt) -> ReceiptRow:
        """The line of one sealed receipt."""
        body = receipt.receipt
        return cls(
            time=moment(datetime.fromisoformat(body.sealed_at), seconds=True),
            status=body.status,
            style=_BADGES[body.status],
            model=body.model_id,
            prompt_tokens=body.usage.prompt_tokens,
            completion_tokens=body.usage.completion_tokens,
            hash=receipt.receipt_hash,
        )

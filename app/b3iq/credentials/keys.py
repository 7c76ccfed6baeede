"""Local keys: what an inference client shows. Shown once, kept as a digest, revocable.

Rotating gives a key another secret: its id, name, scopes, limits and counts stay. One
secret before it may stay good for a while; the generation tells the two apart.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from b3iq.audit.log import AuditLog
from b3iq.credentials import limits as key_limits
from b3iq.credentials import names, tokens
from b3iq.credentials.errors import (
    ForeignCredential,
    InvalidScope,
    KeyNotLive,
    Unauthorized,
    UnknownKey,
)
from b3iq.credentials.limits import NO_LIMITS, KeyLimits
from b3iq.evidence.fields import timestamp
from b3iq.store.clock import Clock, utc_now
from b3iq.store.database import Database
from b3iq.store.errors import DiskRefused
from b3iq.store.tables import local_key

SCOPES = frozenset({"inference", "metrics"})

_FOREIGN = ("gateway", "support")
# `last_used_at` is for the owner's list: it is written at most this often per key.
_USED_AT_STEP = timedelta(minutes=1)
# Compared when no row is found, so that unknown and wrong keys cost the same.
_NO_DIGEST = "0" * 64


@dataclass(frozen=True)
class LocalKey:
    """What may be shown of a key; the secret is not among it.

    Attributes:
        generation: how often the key had been rotated when the secret in question was made.
        previous_until: until when the secret before is good too; None if there is none.
    """

    key_id: str
    name: str
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    limits: KeyLimits = NO_LIMITS
    generation: int = 0
    previous_until: datetime | None = None

    def is_live(self, now: datetime) -> bool:
        """Whether the key opens anything at that time."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


class LocalKeys:
    """The local keys of one node."""

    def __init__(
        self, database: Database, pepper: bytes, audit: AuditLog, clock: Clock = utc_now
    ) -> None:
        self._database = database
        self._pepper = pepper
        self._audit = audit
        self._clock = clock

    def create(
        self,
        name: str,
        scopes: Iterable[str] = ("inference",),
        expires_at: datetime | None = None,
        limits: KeyLimits = NO_LIMITS,
    ) -> tuple[LocalKey, str]:
        """A new key and its secret text, which is nowhere kept.

        Raises:
            InvalidName, InvalidScope: the name or a scope cannot be.
            DiskRefused: it cannot be recorded; there is no key.
        """
        token, made = tokens.mint("local"), self._clock()
        key = LocalKey(
            token.id, names.clean(name), _known(scopes), made, expires_at, None, None, limits
        )
        with self._database.write() as connection:
            connection.execute(
                insert(local_key).values(
                    key_id=key.key_id,
                    name=key.name,
                    digest=tokens.digest(self._pepper, token.text),
                    scopes=" ".join(key.scopes),
                    created_at=key.created_at,
                    expires_at=key.expires_at,
                    limits=key_limits.write(limits),
                )
            )
            self._audit.append(
                connection,
                "local_key_created",
                key.key_id,
                scopes=" ".join(key.scopes),
                limits=limits.stated,
                expires_at=_expiry(expires_at),
            )
        return key, token.text

    def list(self) -> list[LocalKey]:
        """Every key, revoked ones too, newest first."""
        with self._database.read() as connection:
            rows = connection.execute(select(local_key).order_by(local_key.c.created_at.desc()))
            return [_key(row) for row in rows]

    def get(self, key_id: str) -> LocalKey:
        """One key, revoked or not.

        Raises:
            UnknownKey: no key has this id.
        """
        with self._database.read() as connection:
            return _key(_row(connection, key_id))

    def revoke(self, key_id: str) -> LocalKey:
        """End a key, in force on the next request; revoking again changes nothing.

        Raises:
            UnknownKey: no key has this id.
            DiskRefused: it cannot be recorded; the key still opens what it did.
        """
        with self._database.write() as connection:
            ended = connection.execute(
                update(local_key)
                .where(local_key.c.key_id == key_id, local_key.c.revoked_at.is_(None))
                .values(revoked_at=self._clock())
            )
            if ended.rowcount:
                self._audit.append(connection, "local_key_revoked", key_id)
            return _key(_row(connection, key_id))

    def change(
        self,
        key_id: str,
        limits: KeyLimits,
        *,
        expires_at: datetime | None = None,
        keep_expiry: bool = True,
    ) -> LocalKey:
        """Set the limits that `limits` states, and `expires_at` unless the expiry is kept.

        Raises:
            UnknownKey: no key has this id.
            KeyNotLive: it is revoked or expired; what has ended is not opened again.
            DiskRefused: it cannot be recorded; nothing changed.
        """
        with self._database.write() as connection:
            key = self._live(connection, key_id)
            key = replace(
                key,
                limits=key.limits.changed(limits),
                expires_at=key.expires_at if keep_expiry else expires_at,
            )
            _set(connection, key, limits=key_limits.write(key.limits), expires_at=key.expires_at)
            self._audit.append(
                connection,
                "local_key_limited",
                key_id,
                limits=key.limits.stated,
                expires_at=_expiry(key.expires_at),
            )
        return key

    def rotate(self, key_id: str, overlap: timedelta = timedelta(0)) -> tuple[LocalKey, str]:
        """A new secret for the key; the one before stays good for `overlap`, older ones do not.

        Raises:
            UnknownKey: no key has this id.
            KeyNotLive: it is revoked or expired.
            DiskRefused: it cannot be recorded; the secret before stays good.
        """
        with self._database.write() as connection:
            before = _row(connection, key_id)
            key = self._live(connection, key_id)
            # Only now: what is no key's id need not be of a token's form.
            token = tokens.mint("local", key_id)
            until = self._clock() + overlap if overlap else None
            key = replace(key, generation=key.generation + 1, previous_until=until)
            _set(
                connection,
                key,
                digest=tokens.digest(self._pepper, token.text),
                generation=key.generation,
                previous_digest=before.digest if overlap else None,
                previous_until=until,
            )
            self._audit.append(
                connection,
                "local_key_rotated",
                key_id,
                generation=key.generation,
                previous_until=timestamp(until or self._clock()),
            )
        return key, token.text

    def authenticate(self, text: str) -> LocalKey:
        """The live key whose secret this is.

        Raises:
            ForeignCredential: it claims to be a credential of another class.
            Unauthorized: anything else that is not a live key; the reason is not said.
        """
        for kind in _FOREIGN:
            # By the prefix alone: whether it is well-formed is for its own service to know.
            if text.startswith(f"b3iq_{kind}_"):
                raise ForeignCredential(kind)
        token = tokens.parse(text)
        if token.kind != "local":
            raise Unauthorized
        with self._database.read() as connection:
            row = connection.execute(
                select(local_key).where(local_key.c.key_id == token.id)
            ).one_or_none()
        genuine = tokens.matches(self._pepper, text, row.digest if row else _NO_DIGEST)
        before = tokens.matches(self._pepper, text, (row and row.previous_digest) or _NO_DIGEST)
        if row is None or not (genuine or before):
            raise Unauthorized
        key = _key(row)
        now = self._clock()
        if not key.is_live(now):
            raise Unauthorized
        if not genuine:
            if key.previous_until is None or now >= key.previous_until:
                raise Unauthorized
            key = replace(key, generation=key.generation - 1)
        if key.last_used_at is None or abs(now - key.last_used_at) >= _USED_AT_STEP:
            self._note_use(key.key_id, now)
        return key

    def _live(self, connection: Connection, key_id: str) -> LocalKey:
        key = _key(_row(connection, key_id))
        if not key.is_live(self._clock()):
            raise KeyNotLive
        return key

    def _note_use(self, key_id: str, now: datetime) -> None:
        # A full disk ends no inference: this is for the owner's list only.
        with contextlib.suppress(DiskRefused), self._database.write() as connection:
            connection.execute(
                update(local_key).where(local_key.c.key_id == key_id).values(last_used_at=now)
            )


def _known(scopes: Iterable[str]) -> tuple[str, ...]:
    wanted = tuple(sorted(set(scopes)))
    if not wanted or not SCOPES.issuperset(wanted):
        raise InvalidScope(f"Scopes are: {', '.join(sorted(SCOPES))}; at least one.")
    return wanted


def _expiry(moment: datetime | None) -> str:
    return "never" if moment is None else timestamp(moment)


def _row(connection: Connection, key_id: str) -> Row[Any]:
    row = connection.execute(select(local_key).where(local_key.c.key_id == key_id)).one_or_none()
    if row is None:
        raise UnknownKey
    return row


def _set(connection: Connection, key: LocalKey, **values: object) -> None:
    connection.execute(update(local_key).where(local_key.c.key_id == key.key_id).values(**values))


def _key(row: Row[Any]) -> LocalKey:
    return LocalKey(
        key_id=row.key_id,
        name=row.name,
        scopes=tuple(row.scopes.split()),
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        last_used_at=row.last_used_at,
        limits=key_limits.read(row.limits),
        generation=row.generation or 0,
        previous_until=row.previous_until,
    )

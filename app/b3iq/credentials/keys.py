"""Local keys: what an inference client shows. Shown once, kept as a digest, revocable."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, insert, select, update

from b3iq.audit.log import AuditLog
from b3iq.credentials import names, tokens
from b3iq.credentials.errors import ForeignCredential, InvalidScope, Unauthorized, UnknownKey
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
    """What may be shown of a key; the secret is not among it."""

    key_id: str
    name: str
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None

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
    ) -> tuple[LocalKey, str]:
        """A new key and its secret text, which is nowhere kept.

        Raises:
            InvalidName, InvalidScope: the name or a scope cannot be.
            DiskRefused: it cannot be recorded; there is no key.
        """
        wanted = tuple(sorted(set(scopes)))
        if not wanted or not SCOPES.issuperset(wanted):
            raise InvalidScope(f"Scopes are: {', '.join(sorted(SCOPES))}; at least one.")
        token = tokens.mint("local")
        key = LocalKey(token.id, names.clean(name), wanted, self._clock(), expires_at, None, None)
        with self._database.write() as connection:
            connection.execute(
                insert(local_key).values(
                    key_id=key.key_id,
                    name=key.name,
                    digest=tokens.digest(self._pepper, token.text),
                    scopes=" ".join(key.scopes),
                    created_at=key.created_at,
                    expires_at=key.expires_at,
                )
            )
            self._audit.append(
                connection,
                "local_key_created",
                key.key_id,
                scopes=" ".join(key.scopes),
                expires_at="never" if expires_at is None else timestamp(expires_at),
            )
        return key, token.text

    def list(self) -> list[LocalKey]:
        """Every key, revoked ones too, newest first."""
        with self._database.read() as connection:
            rows = connection.execute(select(local_key).order_by(local_key.c.created_at.desc()))
            return [_key(row) for row in rows]

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
            row = connection.execute(
                select(local_key).where(local_key.c.key_id == key_id)
            ).one_or_none()
        if row is None:
            raise UnknownKey
        return _key(row)

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
        if row is None or not genuine:
            raise Unauthorized
        key = _key(row)
        now = self._clock()
        if not key.is_live(now):
            raise Unauthorized
        if key.last_used_at is None or abs(now - key.last_used_at) >= _USED_AT_STEP:
            self._note_use(key.key_id, now)
        return key

    def _note_use(self, key_id: str, now: datetime) -> None:
        # A full disk ends no inference: this is for the owner's list only.
        with contextlib.suppress(DiskRefused), self._database.write() as connection:
            connection.execute(
                update(local_key).where(local_key.c.key_id == key_id).values(last_used_at=now)
            )


def _key(row: Row[Any]) -> LocalKey:
    return LocalKey(
        key_id=row.key_id,
        name=row.name,
        scopes=tuple(row.scopes.split()),
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        last_used_at=row.last_used_at,
    )

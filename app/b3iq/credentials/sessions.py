"""Owner sessions: kept on the server, found by the digest of a random cookie."""

from __future__ import annotations

import contextlib
import hmac
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, delete, insert, or_, select, update

from b3iq.audit.log import AuditLog
from b3iq.credentials import tokens
from b3iq.credentials.errors import Unauthorized
from b3iq.credentials.owners import Owner
from b3iq.store.clock import Clock, utc_now
from b3iq.store.database import Database
from b3iq.store.errors import DiskRefused
from b3iq.store.tables import owner as owner_table
from b3iq.store.tables import session as session_table

IDLE = timedelta(minutes=15)
ABSOLUTE = timedelta(hours=8)
# `seen_at` is written at most this often, so that reading a page rarely writes.
_SEEN_STEP = timedelta(seconds=30)


@dataclass(frozen=True)
class Session:
    """An owner who is logged in; `csrf_token` goes into the forms of the console."""

    owner: Owner
    csrf_token: str = field(repr=False)


class Sessions:
    """Opens, finds and ends sessions."""

    def __init__(
        self, database: Database, pepper: bytes, audit: AuditLog, clock: Clock = utc_now
    ) -> None:
        self._database = database
        self._pepper = pepper
        self._audit = audit
        self._clock = clock

    def open(self, owner: Owner) -> str:
        """A new session; returns the cookie's value, which is nowhere kept.

        Raises:
            DiskRefused: it cannot be recorded; there is no session.
        """
        cookie = secrets.token_urlsafe(32)
        now = self._clock()
        with self._database.write() as connection:
            connection.execute(delete(session_table).where(self._ended(now)))
            connection.execute(
                insert(session_table).values(
                    digest=self._digest(cookie), owner_id=owner.owner_id, opened_at=now, seen_at=now
                )
            )
            self._audit.append(connection, "login", as_="owner")
        return cookie

    def authenticate(self, cookie: str) -> Session:
        """The live session of this cookie; using it puts off its idle end.

        Raises:
            Unauthorized: no session, or it has ended (15 minutes idle, 8 hours in all).
        """
        digest = self._digest(cookie)
        now = self._clock()
        with self._database.read() as connection:
            row = connection.execute(
                select(session_table.c.seen_at, owner_table.c.id, owner_table.c.name)
                .join(owner_table, owner_table.c.id == session_table.c.owner_id)
                .where(session_table.c.digest == digest, ~self._ended(now))
            ).one_or_none()
        if row is None:
            raise Unauthorized
        if abs(now - row.seen_at) >= _SEEN_STEP:
            # On a full disk the owner can still look; the session just ends as if unused.
            with contextlib.suppress(DiskRefused), self._database.write() as connection:
                connection.execute(
                    update(session_table)
                    .where(session_table.c.digest == digest)
                    .values(seen_at=now)
                )
        return Session(Owner(row.id, row.name), self._csrf_token(cookie))

    def close(self, cookie: str) -> None:
        """End one session, on the server; an unknown cookie is no error.

        Raises:
            DiskRefused: it cannot be recorded; the session goes on.
        """
        with self._database.write() as connection:
            ended = connection.execute(
                delete(session_table).where(session_table.c.digest == self._digest(cookie))
            )
            if ended.rowcount:
                self._audit.append(connection, "logout", as_="owner")

    def _ended(self, now: datetime) -> ColumnElement[bool]:
        return or_(
            session_table.c.seen_at <= now - IDLE, session_table.c.opened_at <= now - ABSOLUTE
        )

    def _digest(self, cookie: str) -> str:
        return tokens.digest(self._pepper, f"session {cookie}")

    def _csrf_token(self, cookie: str) -> str:
        # Derived, so that nothing usable is kept; another label, so that it is not the digest.
        return hmac.digest(self._pepper, f"csrf {cookie}".encode(), "sha256").hex()

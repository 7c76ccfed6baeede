"""Owner sessions: kept on the server, found by the digest of a random cookie."""

from __future__ import annotations

import contextlib
import hmac
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, delete, insert, or_, select, update

from b3iq.audit.log import AuditLog
from b3iq.credentials import tokens
from b3iq.credentials.errors import LoginRefused, Unauthorized, UnknownSession
from b3iq.credentials.owners import Owner
from b3iq.store.clock import Clock, utc_now
from b3iq.store.database import Database
from b3iq.store.errors import DiskRefused
from b3iq.store.tables import owner as owner_table
from b3iq.store.tables import session as session_table

IDLE = timedelta(minutes=15)
ABSOLUTE = timedelta(hours=8)
# How long a shown password (and code) stands for what is worth a second look.
PROOF = timedelta(minutes=5)
# `seen_at` is written at most this often, so that reading a page rarely writes.
_SEEN_STEP = timedelta(seconds=30)
# A session of the future is taken for one of a clock that is being set right.
_SKEW = timedelta(minutes=1)
_UNKNOWN_BROWSER = "unknown browser"


@dataclass(frozen=True)
class Session:
    """An owner who is logged in; `csrf_token` goes into the forms of the console.

    `is_proved`: password, and code if there is a second factor, were shown just now.
    """

    owner: Owner
    session_id: str
    is_proved: bool
    csrf_token: str = field(repr=False)


@dataclass(frozen=True)
class OpenSession:
    """What may be shown of a session; nothing of it opens anything."""

    session_id: str
    browser: str
    opened_at: datetime
    seen_at: datetime


class Sessions:
    """Opens, finds and ends sessions."""

    def __init__(
        self, database: Database, pepper: bytes, audit: AuditLog, clock: Clock = utc_now
    ) -> None:
        self._database = database
        self._pepper = pepper
        self._audit = audit
        self._clock = clock

    def open(self, owner: Owner, browser: str = _UNKNOWN_BROWSER) -> str:
        """A new session; returns the cookie's value, which is nowhere kept.

        Raises:
            LoginRefused: the password was changed since the owner showed it.
            DiskRefused: it cannot be recorded; there is no session.
        """
        with self._database.write() as connection:
            return self.open_in(connection, owner, browser)

    def open_in(self, connection: Connection, owner: Owner, browser: str) -> str:
        """The same inside the caller's write transaction."""
        present = connection.execute(select(owner_table.c.generation)).scalar_one_or_none()
        if present != owner.generation:
            raise LoginRefused
        cookie = secrets.token_urlsafe(32)
        now = self._clock()
        connection.execute(delete(session_table).where(self._ended(now)))
        connection.execute(
            insert(session_table).values(
                digest=self._digest(cookie),
                owner_id=owner.owner_id,
                opened_at=now,
                seen_at=now,
                session_id=secrets.token_hex(6),
                browser=browser,
                proved_at=now,
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
                select(
                    session_table, owner_table.c.id, owner_table.c.name, owner_table.c.generation
                )
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
        return Session(
            Owner(row.id, row.name, row.generation),
            row.session_id,
            _is_proved(row, now),
            self._csrf_token(cookie),
        )

    def prove_in(self, connection: Connection, session_id: str) -> None:
        """Note, inside the caller's write transaction, that the owner was asked again.

        Raises:
            Unauthorized: the session was ended meanwhile.
        """
        now = self._clock()
        proved = connection.execute(
            update(session_table)
            .where(session_table.c.session_id == session_id, ~self._ended(now))
            .values(proved_at=now)
        )
        if proved.rowcount != 1:
            raise Unauthorized

    def list(self) -> list[OpenSession]:
        """Every session that is open, newest first."""
        with self._database.read() as connection:
            rows = connection.execute(
                select(session_table)
                .where(~self._ended(self._clock()))
                .order_by(session_table.c.opened_at.desc())
            )
            return [
                OpenSession(
                    row.session_id, row.browser or _UNKNOWN_BROWSER, row.opened_at, row.seen_at
                )
                for row in rows
            ]

    def revoke(self, session_id: str) -> None:
        """End one session, in force on its next request.

        Raises:
            UnknownSession: no session has this id.
            DiskRefused: it cannot be recorded; the session goes on.
        """
        with self._database.write() as connection:
            ended = connection.execute(
                delete(session_table).where(session_table.c.session_id == session_id)
            )
            if ended.rowcount == 0:
                raise UnknownSession
            self._audit.append(connection, "session_revoked", session_id)

    def revoke_all(self, *, keep: str | None = None) -> int:
        """End every session but the one to keep; how many those were.

        Raises:
            DiskRefused: it cannot be recorded; the sessions go on.
        """
        with self._database.write() as connection:
            ended = end_all(connection, keep=keep)
            self._audit.append(connection, "sessions_revoked", sessions_ended=ended)
        return ended

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
            session_table.c.seen_at <= now - IDLE,
            session_table.c.opened_at <= now - ABSOLUTE,
            # A clock that was moved back does not lengthen a session.
            session_table.c.seen_at > now + _SKEW,
            session_table.c.session_id.is_(None),
        )

    def _digest(self, cookie: str) -> str:
        return tokens.digest(self._pepper, f"session {cookie}")

    def _csrf_token(self, cookie: str) -> str:
        # Derived, so that nothing usable is kept; another label, so that it is not the digest.
        return hmac.digest(self._pepper, f"csrf {cookie}".encode(), "sha256").hex()


def end_all(connection: Connection, *, keep: str | None = None) -> int:
    """End the sessions inside the caller's write transaction; how many those were."""
    every = delete(session_table)
    if keep is not None:
        other = session_table.c.session_id.is_distinct_from(keep)
        every = every.where(other)
    return connection.execute(every).rowcount


def _is_proved(row: Row[Any], now: datetime) -> bool:
    # A proof of the future (the clock was moved back) proves nothing.
    return row.proved_at is not None and row.proved_at <= now < row.proved_at + PROOF

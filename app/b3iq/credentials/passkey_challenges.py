"""What a passkey is asked to sign: random, for one purpose and holder, once, for 5 minutes."""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import Literal

from sqlalchemy import Connection, delete, func, insert, or_, select

from b3iq.credentials import tokens
from b3iq.credentials.passkey_protocol import text_of
from b3iq.store.clock import Clock
from b3iq.store.tables import passkey_challenge as table

Purpose = Literal["enrol", "login", "proof"]

LIFE = timedelta(minutes=5)
# Anybody may ask for one at the login: this many are kept, whoever asked.
LIMIT = 128


class Challenges:
    """Makes and takes challenges inside the caller's write transaction; digests are kept."""

    def __init__(self, pepper: bytes, clock: Clock) -> None:
        self._pepper = pepper
        self._clock = clock

    def make(self, connection: Connection, purpose: Purpose, holder: str) -> bytes:
        """A new challenge of 32 bytes.

        When too many wait, it takes the place of the oldest of whoever holds the most: a
        client that asks without end crowds out itself.
        """
        challenge = secrets.token_bytes(32)
        now = self._clock()
        old = or_(table.c.opened_at <= now - LIFE, table.c.opened_at > now)
        connection.execute(delete(table).where(old))
        _make_room(connection)
        connection.execute(
            insert(table).values(
                digest=self._digest(challenge), purpose=purpose, holder=holder, opened_at=now
            )
        )
        return challenge

    def take(self, connection: Connection, challenge: bytes, purpose: Purpose, holder: str) -> bool:
        """Whether it waits for this purpose and holder; of two that race, one takes it."""
        now = self._clock()
        taken = connection.execute(
            delete(table).where(
                table.c.digest == self._digest(challenge),
                table.c.purpose == purpose,
                table.c.holder == holder,
                # A challenge of the future (the clock was moved back) is none.
                table.c.opened_at.between(now - LIFE, now),
            )
        )
        return taken.rowcount == 1

    def _digest(self, challenge: bytes) -> str:
        return tokens.digest(self._pepper, f"passkey challenge {text_of(challenge)}")


def _make_room(connection: Connection) -> None:
    count = connection.execute(select(func.count()).select_from(table)).scalar_one()
    if count < LIMIT:
        return
    crowd = func.count().desc()
    most = select(table.c.holder).group_by(table.c.holder).order_by(crowd).limit(1)
    holder = connection.execute(most).scalar_one()
    oldest = select(table.c.digest).where(table.c.holder == holder)
    oldest = oldest.order_by(table.c.opened_at).limit(count - LIMIT + 1)
    connection.execute(delete(table).where(table.c.digest.in_(oldest)))

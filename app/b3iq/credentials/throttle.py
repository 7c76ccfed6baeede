"""Slows down password guessing, per client address; the count survives a restart."""

from __future__ import annotations

from datetime import timedelta
from math import ceil

from sqlalchemy import delete, select
from sqlalchemy.dialects.sqlite import insert

from b3iq.credentials.errors import TooManyAttempts
from b3iq.store.clock import Clock, utc_now
from b3iq.store.database import Database
from b3iq.store.tables import login_throttle

FREE_ATTEMPTS = 5
FIRST_WAIT = timedelta(seconds=30)
LONGEST_WAIT = timedelta(minutes=15)
FORGET_AFTER = timedelta(hours=1)


class LoginThrottle:
    """Five attempts are free; then each costs twice the wait of the one before.

    Keyed by address, so that a remote client cannot lock out the local console.
    """

    def __init__(self, database: Database, clock: Clock = utc_now) -> None:
        self._database = database
        self._clock = clock

    def admit(self, client: str) -> None:
        """Count one attempt before its password is looked at.

        Counting first makes a hundred parallel guesses as slow as a hundred in a row.

        Raises:
            TooManyAttempts: the client has to wait.
        """
        now = self._clock()
        with self._database.write() as connection:
            connection.execute(
                delete(login_throttle).where(login_throttle.c.failed_at <= now - FORGET_AFTER)
            )
            row = connection.execute(
                select(login_throttle).where(login_throttle.c.client == client)
            ).one_or_none()
            failures = row.failures if row is not None else 0
            # A failure that lies in the future (the clock was moved back) counts as one of now.
            since = min(row.failed_at, now) if row is not None else now
            left = since + _wait(failures) - now
            if left <= timedelta(0):
                failures, since = failures + 1, now
            values = {"failures": failures, "failed_at": since}
            connection.execute(
                insert(login_throttle)
                .values(client=client, **values)
                .on_conflict_do_update(index_elements=["client"], set_=values)
            )
        if left > timedelta(0):
            raise TooManyAttempts(ceil(left.total_seconds()))

    def clear(self, client: str) -> None:
        """Forget the failures of a client that has shown the right password."""
        with self._database.write() as connection:
            connection.execute(delete(login_throttle).where(login_throttle.c.client == client))


def _wait(failures: int) -> timedelta:
    if failures < FREE_ATTEMPTS:
        return timedelta(0)
    doublings = min(failures - FREE_ATTEMPTS, 10)
    wait: timedelta = FIRST_WAIT * 2**doublings
    return min(wait, LONGEST_WAIT)

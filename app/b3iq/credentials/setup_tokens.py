"""The setup token: opens the claim of an unclaimed node, once, for an hour.

A node that has its owner redeems the same token for a recovery (`b3iq.credentials.recovery`).
Only the administrator of the machine gets one (`b3iq setup-url`, over the admin
socket). It travels in a URL fragment and in a request body, which no log sees.
"""

from __future__ import annotations

import threading
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, insert, select

from b3iq.audit.log import AuditLog
from b3iq.credentials import names, tokens
from b3iq.credentials.errors import AlreadyClaimed, SetupTokenRefused, Unauthorized
from b3iq.credentials.owners import Owner, Owners, claimed
from b3iq.evidence.fields import timestamp
from b3iq.store.clock import Clock, utc_now
from b3iq.store.database import Database
from b3iq.store.tables import setup_token

LIFE = timedelta(minutes=60)


class SetupTokens:
    """Mints and redeems the setup token of one node."""

    def __init__(
        self,
        database: Database,
        pepper: bytes,
        owners: Owners,
        audit: AuditLog,
        clock: Clock = utc_now,
    ) -> None:
        self._database = database
        self._pepper = pepper
        self._owners = owners
        self._audit = audit
        self._clock = clock
        self._claiming = threading.Lock()

    def mint(self) -> tuple[str, datetime]:
        """A new token and its end; the one before is void from now on.

        Raises:
            AlreadyClaimed: the node has an owner.
            DiskRefused: it cannot be recorded; the one before still holds.
        """
        with self._database.write() as connection:
            if claimed(connection):
                raise AlreadyClaimed
            token, expires_at = put(connection, self._pepper, self._clock())
            self._audit.append(connection, "setup_token_minted", expires_at=timestamp(expires_at))
        return token, expires_at

    def check(self, token: str) -> None:
        """Accept the token without using it up: the wizard reads with it before the claim.

        Raises:
            AlreadyClaimed, SetupTokenRefused: as `claim`.
        """
        with self._database.read() as connection:
            self._check(connection, token)

    def claim(self, token: str, owner_name: str, password: str) -> Owner:
        """Make the owner and end the setup, in one transaction.

        Raises:
            AlreadyClaimed: the node has an owner.
            SetupTokenRefused: the token is wrong, used, replaced or expired.
            InvalidName, WeakPassword: correct them and try again; the token still holds.
            DiskRefused: it cannot be recorded; there is no owner and the token still holds.
        """
        # One at a time: those who lose the race find out before a hash is computed.
        with self._claiming:
            self.check(token)
            name = names.clean(owner_name)
            password_hash = self._owners.passwords.hash(password)
            with self._database.write() as connection:
                self._check(connection, token)
                connection.execute(delete(setup_token))
                self._audit.append(connection, "node_claimed", as_="setup")
                return self._owners.add(connection, name, password_hash)

    def _check(self, connection: Connection, text: str) -> None:
        if claimed(connection):
            raise AlreadyClaimed
        try:
            tokens.parse(text)
        except Unauthorized:
            raise SetupTokenRefused("The setup link is incomplete or mistyped.") from None
        if not is_good(connection, self._pepper, text, self._clock()):
            raise SetupTokenRefused


def put(connection: Connection, pepper: bytes, now: datetime) -> tuple[str, datetime]:
    """A new token in place of the one before, in the caller's write transaction."""
    token = tokens.mint("setup")
    connection.execute(delete(setup_token))
    connection.execute(
        insert(setup_token).values(
            id=1,
            digest=tokens.digest(pepper, token.text),
            minted_at=now,
            expires_at=now + LIFE,
        )
    )
    return token.text, now + LIFE


def is_good(connection: Connection, pepper: bytes, text: str, now: datetime) -> bool:
    """Whether this is the one token that holds now, as this transaction sees it."""
    try:
        kind = tokens.parse(text).kind
    except Unauthorized:
        return False
    row = connection.execute(select(setup_token)).one_or_none()
    if row is None or kind != "setup" or not tokens.matches(pepper, text, row.digest):
        return False
    # A clock set back does not lengthen the life of a token.
    return bool(row.minted_at <= now < row.expires_at)

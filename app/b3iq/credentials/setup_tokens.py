"""The setup token: opens the claim of an unclaimed node, once, for an hour.

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
        token = tokens.mint("setup")
        now = self._clock()
        with self._database.write() as connection:
            if claimed(connection):
                raise AlreadyClaimed
            connection.execute(delete(setup_token))
            connection.execute(
                insert(setup_token).values(
                    id=1,
                    digest=tokens.digest(self._pepper, token.text),
                    minted_at=now,
                    expires_at=now + LIFE,
                )
            )
            self._audit.append(connection, "setup_token_minted", expires_at=timestamp(now + LIFE))
        return token.text, now + LIFE

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
            token = tokens.parse(text)
        except Unauthorized:
            raise SetupTokenRefused("The setup link is incomplete or mistyped.") from None
        row = connection.execute(select(setup_token)).one_or_none()
        if row is None or token.kind != "setup":
            raise SetupTokenRefused
        if not tokens.matches(self._pepper, text, row.digest):
            raise SetupTokenRefused
        # A clock set back does not lengthen the life of a token.
        if not row.minted_at <= self._clock() < row.expires_at:
            raise SetupTokenRefused

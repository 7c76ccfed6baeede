"""Recovery of a lost owner: root mints a link, whoever opens it sets name and password anew.

The link is a setup link for a node that has an owner: the same token, the same row, the same
hour. It ends the second factor, the passkeys and every session; keys and receipts stay as they are.
"""

from __future__ import annotations

import threading
from datetime import datetime

from sqlalchemy import Connection, delete, update

from b3iq.audit.log import AuditLog
from b3iq.credentials import names, passkeys, second_factor, setup_tokens
from b3iq.credentials.errors import NotClaimed, SetupTokenRefused
from b3iq.credentials.owners import Owner, Owners, claimed, load, replace_password
from b3iq.credentials.sessions import end_all
from b3iq.evidence.fields import timestamp
from b3iq.store.clock import Clock, utc_now
from b3iq.store.database import Database
from b3iq.store.tables import owner as owner_table
from b3iq.store.tables import setup_token


class Recovery:
    """Mints and redeems the recovery link of a claimed node."""

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
        self._recovering = threading.Lock()

    def mint(self) -> tuple[str, datetime]:
        """A new token and its end; the one before is void from now on.

        Raises:
            NotClaimed: the node has no owner.
            DiskRefused: it cannot be recorded; the one before still holds.
        """
        with self._database.write() as connection:
            if not claimed(connection):
                raise NotClaimed
            token, expires_at = setup_tokens.put(connection, self._pepper, self._clock())
            self._audit.append(
                connection, "recovery_token_minted", expires_at=timestamp(expires_at)
            )
        return token, expires_at

    def recover(self, token: str, owner_name: str, password: str) -> Owner:
        """Set name and password and end what the old ones opened, in one transaction.

        Raises:
            SetupTokenRefused: the token is wrong, used, replaced or expired.
            InvalidName, WeakPassword: correct them and try again; the token still holds.
            DiskRefused: it cannot be recorded; nothing changed and the token still holds.
        """
        # One at a time: those who lose the race find out before a hash is computed.
        with self._recovering:
            with self._database.read() as connection:
                self._check(connection, token)
            name = names.clean(owner_name)
            password_hash = self._owners.passwords.hash(password)
            with self._database.write() as connection:
                self._check(connection, token)
                connection.execute(delete(setup_token))
                connection.execute(update(owner_table).values(name=name))
                replace_password(connection, password_hash)
                second_factor.clear(connection)
                passkeys.clear(connection)
                ended = end_all(connection)
                self._audit.append(connection, "owner_recovered", as_="setup", sessions_ended=ended)
                owner = load(connection)
        if owner is None:
            raise NotClaimed
        return owner

    def _check(self, connection: Connection, token: str) -> None:
        if not claimed(connection) or not setup_tokens.is_good(
            connection, self._pepper, token, self._clock()
        ):
            raise SetupTokenRefused(
                "The recovery link is used, expired or wrong.", verb="recover-owner"
            )

"""The owner: the one account of a node."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select, update

from b3iq.credentials import names
from b3iq.credentials.errors import AlreadyClaimed, InvalidName, LoginRefused
from b3iq.credentials.passwords import Passwords
from b3iq.store.clock import Clock, utc_now
from b3iq.store.database import Database
from b3iq.store.tables import login_challenge
from b3iq.store.tables import owner as owner_table


@dataclass(frozen=True)
class Owner:
    """The account, without its password; `generation` counts the changes of that."""

    owner_id: int
    name: str
    generation: int = 1


class Owners:
    """Finds and makes the owner."""

    def __init__(
        self, database: Database, passwords: Passwords | None = None, clock: Clock = utc_now
    ) -> None:
        self._database = database
        self._clock = clock
        self.passwords = passwords or Passwords()

    def is_claimed(self) -> bool:
        """Whether the node has its owner."""
        with self._database.read() as connection:
            return claimed(connection)

    def authenticate(self, name: str, password: str) -> Owner:
        """The owner with this name and password.

        Raises:
            LoginRefused: either is wrong; unknown names cost a verification too.
        """
        with self._database.read() as connection:
            row = connection.execute(select(owner_table)).one_or_none()
        try:
            known = row is not None and row.name == names.clean(name)
        except InvalidName:
            known = False
        encoded = row.password_hash if row is not None and known else None
        if not self.passwords.verify(encoded, password) or row is None:
            raise LoginRefused
        return Owner(row.id, row.name, row.generation)

    def add(self, connection: Connection, name: str, password_hash: str) -> Owner:
        """Make the owner inside the caller's write transaction.

        Raises:
            AlreadyClaimed: there is one.
        """
        if claimed(connection):
            raise AlreadyClaimed
        connection.execute(
            insert(owner_table).values(
                id=1, name=name, password_hash=password_hash, claimed_at=self._clock()
            )
        )
        return Owner(1, name)


def load(connection: Connection) -> Owner | None:
    """The owner, if there is one, as this transaction sees it."""
    row = connection.execute(select(owner_table)).one_or_none()
    return None if row is None else Owner(row.id, row.name, row.generation)


def replace_password(connection: Connection, password_hash: str) -> None:
    """Set another password inside the caller's write transaction.

    Logins that began with the one before are void, whichever step they are at.
    """
    connection.execute(
        update(owner_table).values(
            password_hash=password_hash, generation=owner_table.c.generation + 1
        )
    )
    connection.execute(delete(login_challenge))


def claimed(connection: Connection) -> bool:
    """Whether there is an owner, as this transaction sees it."""
    return connection.execute(select(owner_table.c.id)).first() is not None

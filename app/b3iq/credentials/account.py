"""The owner changes name or password; every other session is ended by it."""

from __future__ import annotations

from sqlalchemy import update

from b3iq.audit.log import AuditLog
from b3iq.credentials import names
from b3iq.credentials.owners import Owners, replace_password
from b3iq.credentials.sessions import end_all
from b3iq.store.database import Database
from b3iq.store.tables import owner as owner_table


class Account:
    """Changes of the account, each one transaction."""

    def __init__(self, database: Database, owners: Owners, audit: AuditLog) -> None:
        self._database = database
        self._owners = owners
        self._audit = audit

    def rename(self, owner_name: str, *, keep: str) -> int:
        """Set another name; how many sessions but the one to keep were ended.

        Raises:
            InvalidName: the name cannot be.
            DiskRefused: it cannot be recorded; nothing changed.
        """
        name = names.clean(owner_name)
        with self._database.write() as connection:
            connection.execute(update(owner_table).values(name=name))
            ended = end_all(connection, keep=keep)
            self._audit.append(connection, "owner_renamed", sessions_ended=ended)
        return ended

    def change_password(self, password: str, *, keep: str) -> int:
        """Set another password; how many sessions but the one to keep were ended.

        Raises:
            WeakPassword: the password cannot be.
            DiskRefused: it cannot be recorded; nothing changed.
        """
        password_hash = self._owners.passwords.hash(password)
        with self._database.write() as connection:
            replace_password(connection, password_hash)
            ended = end_all(connection, keep=keep)
            self._audit.append(connection, "password_changed", sessions_ended=ended)
        return ended

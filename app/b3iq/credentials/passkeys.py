"""The owner's passkeys: enrolled, listed, removed."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select

from b3iq.audit.log import AuditLog
from b3iq.credentials import names, passkey_protocol, tokens
from b3iq.credentials.passkey_challenges import Challenges
from b3iq.credentials.passkey_errors import (
    PasskeyConflict,
    PasskeyNotAdded,
    PasskeyRefused,
    UnknownPasskey,
)
from b3iq.credentials.passkey_protocol import Attestation, NewPasskey
from b3iq.credentials.relying_party import RelyingParty
from b3iq.credentials.sessions import Session, end_all
from b3iq.store.clock import Clock, utc_now
from b3iq.store.database import Database
from b3iq.store.tables import passkey, passkey_challenge

LIMIT = 20


@dataclass(frozen=True)
class Passkey:
    """What may be shown of a passkey; nothing of it opens anything."""

    passkey_id: str
    name: str
    origin: str
    created_at: datetime
    last_used_at: datetime | None


class Passkeys:
    """Enrols, lists and removes passkeys; each change is one transaction.

    A change that cannot be recorded raises `DiskRefused` and is none.
    """

    def __init__(
        self, database: Database, pepper: bytes, audit: AuditLog, clock: Clock = utc_now
    ) -> None:
        self._database = database
        self._pepper = pepper
        self._audit = audit
        self._clock = clock
        self._challenges = Challenges(pepper, clock)

    def list(self) -> list[Passkey]:
        """Every passkey, oldest first."""
        with self._database.read() as connection:
            return [_view(row) for row in connection.execute(select(passkey).order_by(_AGE))]

    def are_for(self, party: RelyingParty | None) -> bool:
        """Whether a page of this name can be answered with one."""
        with self._database.read() as connection:
            return party is not None and bool(known(connection, party))

    def begin(self, session: Session, party: RelyingParty) -> dict[str, Any]:
        """What the browser is asked for; the answer must come from the same session.

        Raises:
            PasskeyConflict: there are too many already.
        """
        with self._database.write() as connection:
            _refuse_too_many(connection)
            return passkey_protocol.creation_options(
                party,
                self._challenges.make(connection, "enrol", session.session_id),
                user_handle=user_handle(self._pepper, party),
                user_name=session.owner.name,
                known=known(connection, party),
            )

    def add(self, answer: str, name: str, session: Session, party: RelyingParty) -> Passkey:
        """Keep the passkey that the browser made.

        Raises:
            InvalidName: the name cannot be.
            PasskeyNotAdded: the answer is not one to a challenge of this session.
            PasskeyConflict: it is there already, or there are too many.
        """
        name = names.clean(name)
        try:
            attestation = passkey_protocol.read(Attestation, answer)
            challenge = passkey_protocol.challenge_of(attestation)
            # Before the write lock is taken: nothing of it depends on the database.
            made = passkey_protocol.verify_new(attestation, challenge, party)
        except PasskeyRefused:
            raise PasskeyNotAdded from None
        with self._database.write() as connection:
            if not self._challenges.take(connection, challenge, "enrol", session.session_id):
                raise PasskeyNotAdded
            _refuse_too_many(connection)
            return self._keep(connection, made, name, party)

    def remove(self, passkey_id: str, *, keep: str) -> int:
        """End a passkey; how many sessions but the one to keep were ended with it.

        Raises:
            UnknownPasskey: no passkey has this id.
        """
        with self._database.write() as connection:
            gone = connection.execute(delete(passkey).where(passkey.c.passkey_id == passkey_id))
            if gone.rowcount == 0:
                raise UnknownPasskey
            ended = end_all(connection, keep=keep)
            self._audit.append(connection, "passkey_removed", passkey_id, sessions_ended=ended)
        return ended

    def _keep(
        self, connection: Connection, made: NewPasskey, name: str, party: RelyingParty
    ) -> Passkey:
        same = select(passkey).where(passkey.c.credential_id == made.credential_id)
        if connection.execute(same).one_or_none() is not None:
            raise PasskeyConflict("This passkey is there already.", remedy="Use it.")
        new = Passkey(secrets.token_hex(6), name, party.origin, self._clock(), None)
        connection.execute(
            insert(passkey).values(
                passkey_id=new.passkey_id,
                credential_id=made.credential_id,
                public_key=made.public_key,
                sign_count=made.sign_count,
                rp_id=party.rp_id,
                origin=new.origin,
                name=new.name,
                created_at=new.created_at,
            )
        )
        self._audit.append(connection, "passkey_added", new.passkey_id)
        return new


_AGE = passkey.c.created_at


def known(connection: Connection, party: RelyingParty) -> list[bytes]:
    """The credential ids of an origin."""
    ids = select(passkey.c.credential_id).where(passkey.c.origin == party.origin)
    return list(connection.execute(ids.order_by(_AGE)).scalars())


def clear(connection: Connection) -> None:
    """End every passkey inside the caller's write transaction."""
    connection.execute(delete(passkey))
    connection.execute(delete(passkey_challenge))


def user_handle(pepper: bytes, party: RelyingParty) -> bytes:
    """What an authenticator calls the owner of this node: 32 bytes that say nothing.

    Each node has its own, and each origin of it. Under `localhost` many of them can have
    passkeys, and an authenticator keeps one for each handle.
    """
    return bytes.fromhex(tokens.digest(pepper, f"passkey user handle {party.origin}"))


def _view(row: Row[Any]) -> Passkey:
    return Passkey(row.passkey_id, row.name, row.origin, row.created_at, row.last_used_at)


def _refuse_too_many(connection: Connection) -> None:
    if connection.execute(select(func.count()).select_from(passkey)).scalar_one() >= LIMIT:
        raise PasskeyConflict(f"There are {LIMIT} passkeys.", remedy="Remove one first.")

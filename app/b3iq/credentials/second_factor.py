"""The owner's second factor: a TOTP app, with recovery codes for the day it is lost."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from sqlalchemy import Connection, delete, func, insert, select, update

from b3iq.audit.log import AuditLog
from b3iq.credentials import tokens, totp
from b3iq.credentials.errors import EnrolmentCodeRefused, SecondFactorConflict
from b3iq.credentials.sealing import Sealer, Unreadable
from b3iq.credentials.sessions import end_all
from b3iq.store.clock import Clock, utc_now
from b3iq.store.database import Database
from b3iq.store.tables import recovery_code, second_factor

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SecondFactorState:
    """Whether it is on, and how many recovery codes are left."""

    is_on: bool
    recovery_codes: int


class SecondFactor:
    """Sets up, checks and ends the second factor; each change is one transaction.

    A change that cannot be recorded raises `DiskRefused` and is none.
    """

    def __init__(
        self, database: Database, pepper: bytes, audit: AuditLog, clock: Clock = utc_now
    ) -> None:
        self._database = database
        self._pepper = pepper
        self._audit = audit
        self._clock = clock
        self._sealer = Sealer(pepper, "totp secret")

    def state(self) -> SecondFactorState:
        """What the owner's page shows."""
        with self._database.read() as connection:
            left = connection.execute(select(func.count()).select_from(recovery_code)).scalar_one()
            return SecondFactorState(is_on(connection), left)

    def begin(self) -> str:
        """A new secret, in force once `confirm` has seen a code of it.

        Raises:
            SecondFactorConflict: it is on.
        """
        secret = totp.new_secret()
        with self._database.write() as connection:
            _refuse_if(is_on(connection), "The second factor is on already.", "Turn it off first.")
            clear(connection)
            connection.execute(
                insert(second_factor).values(
                    id=1, sealed=self._sealer.seal(secret.encode()), begun_at=self._clock()
                )
            )
        return secret

    def begun(self) -> str:
        """The secret that waits for its first code.

        Raises:
            SecondFactorConflict: none does.
        """
        with self._database.read() as connection:
            return self._begun(connection)

    def confirm(self, code: str, *, keep: str) -> list[str]:
        """Turn it on; returns the recovery codes, which are nowhere kept.

        Every session but the one to keep is ended: it was opened by a password alone.

        Raises:
            EnrolmentCodeRefused: the code does not fit; the secret still waits.
            SecondFactorConflict: no secret waits.
        """
        now = self._clock()
        with self._database.write() as connection:
            step = totp.matching_step(self._begun(connection), code, now, None)
            if step is None:
                raise EnrolmentCodeRefused
            connection.execute(update(second_factor).values(confirmed_at=now, last_step=step))
            ended = end_all(connection, keep=keep)
            self._audit.append(connection, "second_factor_enabled", sessions_ended=ended)
            return self._new_codes(connection)

    def renew_codes(self) -> list[str]:
        """Ten new recovery codes; those before are void.

        Raises:
            SecondFactorConflict: the second factor is off.
        """
        with self._database.write() as connection:
            _refuse_if(not is_on(connection), "The second factor is off.", "Set it up first.")
            self._audit.append(connection, "recovery_codes_renewed")
            return self._new_codes(connection)

    def turn_off(self) -> None:
        """End it, with its recovery codes; again changes nothing."""
        with self._database.write() as connection:
            if is_on(connection):
                self._audit.append(connection, "second_factor_disabled")
            clear(connection)

    def accept(self, connection: Connection, code: str) -> bool:
        """Whether this is a code of the app or a recovery code that was not used before.

        It is used up in the caller's write transaction: of two that race on one code, exactly
        one is accepted.
        """
        row = connection.execute(select(second_factor)).one_or_none()
        if row is None or row.confirmed_at is None:
            return False
        try:
            secret = self._sealer.open(row.sealed).decode()
        except Unreadable:
            # Under another pepper no recovery code holds either: root has to recover the owner.
            _log.exception("second_factor_unreadable")
            return False
        step = totp.matching_step(secret, code, self._clock(), row.last_step)
        if step is not None:
            connection.execute(update(second_factor).values(last_step=step))
            return True
        used = connection.execute(
            delete(recovery_code).where(recovery_code.c.digest == self._digest(code))
        )
        return used.rowcount == 1

    def _begun(self, connection: Connection) -> str:
        row = connection.execute(select(second_factor)).one_or_none()
        if row is None or row.confirmed_at is not None:
            raise SecondFactorConflict("Nothing is being set up.", remedy="Begin again.")
        return self._sealer.open(row.sealed).decode()

    def _new_codes(self, connection: Connection) -> list[str]:
        codes = totp.new_recovery_codes()
        connection.execute(delete(recovery_code))
        connection.execute(
            insert(recovery_code), [{"digest": self._digest(code)} for code in codes]
        )
        return codes

    def _digest(self, code: str) -> str:
        return tokens.digest(self._pepper, f"recovery {totp.normal_recovery_code(code)}")


def is_on(connection: Connection) -> bool:
    """Whether a login needs a code, as this transaction sees it."""
    row = connection.execute(select(second_factor.c.confirmed_at)).one_or_none()
    return row is not None and row.confirmed_at is not None


def clear(connection: Connection) -> None:
    """End the second factor inside the caller's write transaction."""
    connection.execute(delete(second_factor))
    connection.execute(delete(recovery_code))


def _refuse_if(wrong: bool, detail: str, remedy: str) -> None:
    if wrong:
        raise SecondFactorConflict(detail, remedy=remedy)

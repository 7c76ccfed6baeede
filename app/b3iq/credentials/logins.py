"""Logging in, and proving again who is logged in: password first, then the second factor.

With a second factor on, every name and password leads to the page that asks for the code, and
only the code's page says that something was wrong: a guesser never learns that a password
alone was right.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import timedelta

from sqlalchemy import delete, insert, or_, select

from b3iq.credentials import second_factor, tokens
from b3iq.credentials.errors import ChallengeOver, CodeRefused, LoginRefused
from b3iq.credentials.owners import Owner, Owners, load
from b3iq.credentials.second_factor import SecondFactor
from b3iq.credentials.sessions import Session, Sessions
from b3iq.store.clock import Clock, utc_now
from b3iq.store.database import Database
from b3iq.store.tables import login_challenge

CHALLENGE_LIFE = timedelta(minutes=5)


@dataclass(frozen=True)
class LoggedIn:
    """The login is complete; the cookie is nowhere kept."""

    cookie: str = field(repr=False)


@dataclass(frozen=True)
class CodeNeeded:
    """The login goes on with a code; the challenge stands for its first step."""

    challenge: str = field(repr=False)


class Logins:
    """The steps of a login, each one transaction after the password's hash."""

    def __init__(
        self,
        database: Database,
        pepper: bytes,
        owners: Owners,
        sessions: Sessions,
        factor: SecondFactor,
        clock: Clock = utc_now,
    ) -> None:
        self._database = database
        self._pepper = pepper
        self._owners = owners
        self._sessions = sessions
        self._factor = factor
        self._clock = clock

    def begin(self, name: str, password: str, browser: str) -> LoggedIn | CodeNeeded:
        """Look at name and password; without a second factor that is all.

        Raises:
            LoginRefused: either is wrong, and no second factor hides that.
        """
        owner = self._authenticate(name, password)
        with self._database.write() as connection:
            if second_factor.is_on(connection):
                challenge = secrets.token_urlsafe(32)
                now = self._clock()
                connection.execute(
                    delete(login_challenge).where(
                        or_(
                            login_challenge.c.opened_at <= now - CHALLENGE_LIFE,
                            login_challenge.c.opened_at > now,
                        )
                    )
                )
                connection.execute(
                    insert(login_challenge).values(
                        digest=self._digest(challenge),
                        generation=owner.generation if owner else None,
                        opened_at=now,
                    )
                )
                return CodeNeeded(challenge)
            if owner is None:
                raise LoginRefused
            return LoggedIn(self._sessions.open_in(connection, owner, browser))

    def finish(self, challenge: str, code: str, browser: str) -> LoggedIn:
        """Look at the code; what was wrong before is refused here, in the same words.

        Raises:
            CodeRefused: name, password or code is wrong; another code may be tried.
            ChallengeOver: the first step is 5 minutes ago or was never made.
        """
        digest = self._digest(challenge)
        now = self._clock()
        with self._database.write() as connection:
            row = connection.execute(
                select(login_challenge).where(login_challenge.c.digest == digest)
            ).one_or_none()
            if row is None or not row.opened_at <= now < row.opened_at + CHALLENGE_LIFE:
                raise ChallengeOver
            # The refusal undoes the transaction: a code beside a wrong password stays unused.
            owner = load(connection)
            accepted = self._factor.accept(connection, code)
            if not accepted or owner is None or owner.generation != row.generation:
                raise CodeRefused
            connection.execute(delete(login_challenge).where(login_challenge.c.digest == digest))
            return LoggedIn(self._sessions.open_in(connection, owner, browser))

    def prove(self, session: Session, password: str, code: str) -> None:
        """Ask again whoever is logged in; holds for 5 minutes.

        Raises:
            CodeRefused: password or code is wrong; which is not said.
            Unauthorized: the session was ended meanwhile.
        """
        owner = self._authenticate(session.owner.name, password)
        with self._database.write() as connection:
            accepted = not second_factor.is_on(connection) or self._factor.accept(connection, code)
            if owner is None or not accepted:
                raise CodeRefused
            self._sessions.prove_in(connection, session.session_id)

    def _authenticate(self, name: str, password: str) -> Owner | None:
        try:
            return self._owners.authenticate(name, password)
        except LoginRefused:
            return None

    def _digest(self, challenge: str) -> str:
        return tokens.digest(self._pepper, f"challenge {challenge}")

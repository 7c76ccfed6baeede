"""A login, or a proof, with a passkey alone: it is something that the owner has, and its
authenticator has asked for a PIN or a finger.

1. The browser asks for a challenge. Whether there is any passkey is not told at the login.
2. The passkey signs it, with the origin of the page and the word that the user was verified.
3. The challenge is taken, whatever comes next: an answer works once, right or wrong.
4. The passkey must be one of this node and origin, its signature good, its user verified.
   The request names the origin, so one that was made under another port of localhost would
   let whoever listens there pass it on.
5. Its sign count must have grown, where it counts. One that went back may be a copy.
6. The session is opened, or proved, in the same transaction.
"""

from __future__ import annotations

import hmac
import logging
from typing import Any

from sqlalchemy import Connection, select, update

from b3iq.credentials import passkey_protocol
from b3iq.credentials.logins import LoggedIn
from b3iq.credentials.owners import load
from b3iq.credentials.passkey_challenges import Challenges, Purpose
from b3iq.credentials.passkey_errors import PasskeyRefused
from b3iq.credentials.passkey_protocol import Assertion, bytes_of
from b3iq.credentials.passkeys import known, user_handle
from b3iq.credentials.relying_party import RelyingParty
from b3iq.credentials.sessions import Session, Sessions
from b3iq.store.clock import Clock, utc_now
from b3iq.store.database import Database
from b3iq.store.tables import passkey

_log = logging.getLogger(__name__)


class PasskeyLogins:
    """Asks for a passkey's proof and looks at it, each one transaction."""

    def __init__(
        self, database: Database, pepper: bytes, sessions: Sessions, clock: Clock = utc_now
    ) -> None:
        self._database = database
        self._sessions = sessions
        self._clock = clock
        self._challenges = Challenges(pepper, clock)
        self._pepper = pepper

    def ask_login(self, client: str, party: RelyingParty) -> dict[str, Any]:
        """What a visitor's browser is asked for; the same with and without passkeys."""
        with self._database.write() as connection:
            challenge = self._challenges.make(connection, "login", client)
        return passkey_protocol.request_options(party, challenge)

    def ask_proof(self, session: Session, party: RelyingParty) -> dict[str, Any]:
        """What the owner's browser is asked for."""
        with self._database.write() as connection:
            challenge = self._challenges.make(connection, "proof", session.session_id)
            return passkey_protocol.request_options(party, challenge, known(connection, party))

    def log_in(self, answer: str, client: str, party: RelyingParty, browser: str) -> LoggedIn:
        """Open a session for whoever shows a passkey.

        Raises:
            PasskeyRefused: it proves nobody; why is not said.
        """
        shown = passkey_protocol.read(Assertion, answer)
        with self._database.write() as connection:
            owner = load(connection)
            if self._accept(connection, shown, "login", client, party) and owner is not None:
                return LoggedIn(self._sessions.open_in(connection, owner, browser))
        raise PasskeyRefused

    def prove(self, answer: str, session: Session, party: RelyingParty) -> None:
        """Take a passkey as the proof of who is logged in; holds for 5 minutes.

        Raises:
            PasskeyRefused: it proves nobody; why is not said.
            Unauthorized: the session was ended meanwhile.
        """
        shown = passkey_protocol.read(Assertion, answer)
        with self._database.write() as connection:
            if self._accept(connection, shown, "proof", session.session_id, party):
                self._sessions.prove_in(connection, session.session_id)
                return
        raise PasskeyRefused

    def _accept(
        self,
        connection: Connection,
        shown: Assertion,
        purpose: Purpose,
        holder: str,
        party: RelyingParty,
    ) -> bool:
        """Steps 3 to 5. A refusal does not raise, so that the challenge stays taken."""
        try:
            challenge = passkey_protocol.challenge_of(shown)
            if not self._challenges.take(connection, challenge, purpose, holder):
                return False
            return self._is_good(connection, shown, challenge, party)
        except PasskeyRefused:
            return False

    def _is_good(
        self, connection: Connection, shown: Assertion, challenge: bytes, party: RelyingParty
    ) -> bool:
        row = connection.execute(
            select(passkey).where(
                passkey.c.credential_id == bytes_of(shown.id), passkey.c.origin == party.origin
            )
        ).one_or_none()
        if row is None or not self._names_owner(shown, party):
            return False
        count = passkey_protocol.verify_known(shown, challenge, party, row.public_key)
        if count <= row.sign_count and (count, row.sign_count) != (0, 0):
            _log.warning("passkey_count_went_back", extra={"passkey_id": row.passkey_id})
            return False
        connection.execute(
            update(passkey)
            .where(passkey.c.passkey_id == row.passkey_id)
            .values(sign_count=count, last_used_at=self._clock())
        )
        return True

    def _names_owner(self, shown: Assertion, party: RelyingParty) -> bool:
        if shown.user_handle is None:
            return True  # the credential id has found the one account that there is
        return hmac.compare_digest(bytes_of(shown.user_handle), user_handle(self._pepper, party))

"""Login and logout of the owner; the pages around them are the console's."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from flask import request
from werkzeug.wrappers import Response

from b3iq.audit.actions import Refusal
from b3iq.credentials.errors import TooManyAttempts
from b3iq.credentials.logins import CodeNeeded, LoggedIn
from b3iq.credentials.owners import Owner
from b3iq.credentials.sessions import Session
from b3iq.errors import B3iqError
from b3iq.node import connection, passkey_place
from b3iq.node.browsers import browser_of
from b3iq.node.principal import principal
from b3iq.node.services import services
from b3iq.store.errors import DiskRefused

_log = logging.getLogger(__name__)


def session() -> Session | None:
    """The session of the visitor of a page, if there is one."""
    return principal().session


def log_in(name: str, password: str, response: Response) -> CodeNeeded | None:
    """Check name and password; None: a new session is in the response.

    With a second factor on, the answer is a challenge, whatever was typed.

    Raises:
        LoginRefused: either is wrong; which is not said.
        TooManyAttempts: this client has to wait.
    """
    with attempt("login_refused"):
        step = services().logins.begin(name, password, browser_of(request))
    if isinstance(step, CodeNeeded):
        return step
    _finish_login(step, response)
    return None


def log_in_with_code(challenge: str, code: str, response: Response) -> None:
    """Check the code and put a new session into the response.

    Raises:
        CodeRefused, ChallengeOver: the login is refused; the first can be tried again.
        TooManyAttempts: this client has to wait.
    """
    with attempt("login_refused"):
        step = services().logins.finish(challenge, code, browser_of(request))
    _finish_login(step, response)


def log_in_with_passkey(answer: str, response: Response) -> None:
    """Look at what a passkey signed and put a new session into the response.

    Raises:
        PasskeyRefused: it proves nobody; why is not said.
        TooManyAttempts: this client has to wait.
        NoPasskeysHere: the page was opened by address.
    """
    place, client = passkey_place.need(request), connection.client_of(request)
    with attempt("login_refused"):
        step = services().passkey_logins.log_in(answer, client, place, browser_of(request))
    _finish_login(step, response)


def _finish_login(step: LoggedIn, response: Response) -> None:
    client = connection.client_of(request)
    services().throttle.clear(client)
    _log.info("login", extra={"client": client})
    _end_session()
    _hand_over(step.cookie, response)


@contextmanager
def attempt(refusal: Refusal) -> Iterator[None]:
    """One guess at a password, code or passkey, counted before it is looked at.

    A hundred guesses at once are so as slow as a hundred in a row. Whoever shows all that is
    asked for clears the count; a right password alone does not.

    Raises:
        TooManyAttempts: this client has to wait.
    """
    client = connection.client_of(request)
    try:
        services().throttle.admit(client)
        yield
    except DiskRefused:
        raise
    except B3iqError as error:
        throttled = isinstance(error, TooManyAttempts)
        services().audit.refuse("login_throttled" if throttled else refusal)
        _log.warning(refusal, extra={"client": client, "code": error.code})
        raise


def begin_session(owner: Owner, response: Response) -> None:
    """Open a session and hand it over; one that this browser had before is ended.

    The browser keeps the cookie until it is closed, the server for 8 hours at most.
    """
    _end_session()
    _hand_over(services().sessions.open(owner, browser_of(request)), response)


def _hand_over(cookie: str, response: Response) -> None:
    response.set_cookie(
        connection.cookie_name(request),
        cookie,
        path="/",
        secure=connection.is_tls(request.environ),
        httponly=True,
        samesite="Strict",
    )


def log_out(response: Response) -> None:
    """End the session on the server and make the browser forget it."""
    _end_session()
    response.delete_cookie(
        connection.cookie_name(request),
        path="/",
        secure=connection.is_tls(request.environ),
        httponly=True,
        samesite="Strict",
    )


def _end_session() -> None:
    cookie = request.cookies.get(connection.cookie_name(request))
    if cookie:
        services().sessions.close(cookie)

"""Login and logout of the owner; the pages around them are the console's."""

from __future__ import annotations

import logging

from flask import request
from werkzeug.wrappers import Response

from b3iq.credentials.errors import LoginRefused, TooManyAttempts
from b3iq.credentials.owners import Owner
from b3iq.credentials.sessions import Session
from b3iq.node import connection
from b3iq.node.principal import principal
from b3iq.node.services import services

_log = logging.getLogger(__name__)


def session() -> Session | None:
    """The session of the visitor of a page, if there is one."""
    return principal().session


def log_in(name: str, password: str, response: Response) -> None:
    """Check name and password and put a new session into the response.

    Raises:
        LoginRefused: either is wrong; which is not said.
        TooManyAttempts: this client has to wait.
    """
    node = services()
    client = connection.client_of(request)
    try:
        # Counted first: a hundred guesses at once are as slow as a hundred in a row.
        node.throttle.admit(client)
        owner = node.owners.authenticate(name, password)
    except (LoginRefused, TooManyAttempts) as error:
        _log.warning("login_refused", extra={"client": client, "code": error.code})
        raise
    node.throttle.clear(client)
    _log.info("login", extra={"client": client})
    begin_session(owner, response)


def begin_session(owner: Owner, response: Response) -> None:
    """Open a session and hand it over; one that this browser had before is ended.

    The browser keeps the cookie until it is closed, the server for 8 hours at most.
    """
    _end_session()
    response.set_cookie(
        connection.cookie_name(request),
        services().sessions.open(owner),
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

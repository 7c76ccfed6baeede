"""Who asks: authenticates a request by the credential classes of its rule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast

from flask import Request, g

from b3iq.credentials import tokens
from b3iq.credentials.errors import (
    AlreadyClaimed,
    InsufficientScope,
    SetupTokenRefused,
    Unauthorized,
)
from b3iq.credentials.keys import LocalKey
from b3iq.credentials.sessions import Session
from b3iq.node import connection
from b3iq.node.policy import ADMIN, LOCAL_KEY, OWNER, PUBLIC, SETUP_TOKEN, Rule
from b3iq.node.problems import HttpError
from b3iq.node.services import Services

Kind = Literal["public", "local_key", "owner", "setup", "admin"]


@dataclass(frozen=True)
class Principal:
    """Whoever a request was authenticated as; `key` or `session` by kind."""

    kind: Kind
    key: LocalKey | None = None
    session: Session | None = None


def principal() -> Principal:
    """The principal of the current request."""
    return cast("Principal", g.principal)


def authenticate(rule: Rule, request: Request, services: Services) -> Principal:
    """Find out who asks.

    A credential in the Authorization header is the one that counts; a cookie beside it
    is not looked at, so that a request never falls back to another authority.

    Raises:
        Unauthorized, ForeignCredential: no valid credential of any class.
        HttpError: 403, a valid credential that does not open this route.
        InsufficientScope: a local key made for something else.
    """
    if ADMIN in rule.classes:
        # The admin socket was checked before; a token buys nothing here.
        return Principal("admin")
    if rule.token_in_body:
        return Principal("public")
    if PUBLIC in rule.classes:
        return _visitor(rule, request, services)
    if "Authorization" in request.headers:
        return _bearer(rule, request.headers["Authorization"], services)
    cookie = request.cookies.get(connection.cookie_name(request))
    if OWNER in rule.classes and cookie:
        return Principal("owner", session=services.sessions.authenticate(cookie))
    raise Unauthorized


def _visitor(rule: Rule, request: Request, services: Services) -> Principal:
    cookie = request.cookies.get(connection.cookie_name(request))
    if rule.form != "page" or not cookie:
        return Principal("public")
    try:
        return Principal("owner", session=services.sessions.authenticate(cookie))
    except Unauthorized:
        return Principal("public")


def _bearer(rule: Rule, header: str, services: Services) -> Principal:
    scheme, _, text = header.partition(" ")
    if scheme.lower() != "bearer":
        raise Unauthorized
    # What HTTP calls white space (RFC 9110 section 5.6.3), and not all that Unicode does.
    text = text.strip(" \t")
    if text.startswith("b3iq_setup_"):
        return _setup(rule, text, services)
    key = services.keys.authenticate(text)
    if LOCAL_KEY not in rule.classes:
        raise HttpError(403, "A local key does not open this.", code="forbidden")
    if rule.scope is not None and rule.scope not in key.scopes:
        raise InsufficientScope(rule.scope)
    return Principal("local_key", key=key)


def _setup(rule: Rule, text: str, services: Services) -> Principal:
    tokens.parse(text)
    try:
        services.setup.check(text)
    except (AlreadyClaimed, SetupTokenRefused):
        raise Unauthorized from None
    if SETUP_TOKEN not in rule.classes:
        raise HttpError(403, "A setup token does not open this.", code="forbidden")
    return Principal("setup")

"""Challenges for a passkey, as the pages' script asks for them; what is signed goes to a form."""

from __future__ import annotations

from flask import Flask, Response, jsonify, request

from b3iq.credentials.errors import Unauthorized
from b3iq.node import connection, passkey_place
from b3iq.node.principal import principal
from b3iq.node.services import services


def post_login_challenge() -> Response:
    """POST /login/passkey/challenge: the same for a node with and without passkeys.

    Raises:
        NoPasskeysHere: the page was opened by address.
    """
    place = passkey_place.need(request)
    return jsonify(services().passkey_logins.ask_login(connection.client_of(request), place))


def post_proof_challenge() -> Response:
    """POST /console/passkeys/challenge: for the session that asks, and no other.

    Raises:
        NoPasskeysHere: the page was opened by address.
    """
    session = principal().session
    if session is None:
        raise Unauthorized  # the policy lets nobody else in
    return jsonify(services().passkey_logins.ask_proof(session, passkey_place.need(request)))


def register(app: Flask) -> None:
    """Add the routes."""
    for path, view in (
        ("/login/passkey/challenge", post_login_challenge),
        ("/console/passkeys/challenge", post_proof_challenge),
    ):
        app.add_url_rule(path, methods=["POST"], view_func=view)

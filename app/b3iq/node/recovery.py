"""Recovery of a lost owner: root makes the link, the owner's browser redeems it."""

from __future__ import annotations

import contextlib
import logging

from flask import Flask, Response, jsonify, request

from b3iq.credentials.errors import SetupTokenRefused
from b3iq.node.bodies import read_json
from b3iq.node.owner import begin_session
from b3iq.node.services import services
from b3iq.node.setup import Claim
from b3iq.store.errors import DiskRefused

_log = logging.getLogger(__name__)


def post_recovery_token() -> Response:
    """POST /admin/recovery-token: the link that recovers the owner; the one before is void."""
    node = services()
    token, expires_at = node.recovery.mint()
    _log.warning("recovery_token_minted")
    # In the fragment, which a browser sends to nobody.
    url = f"http://localhost:{node.config.listen_port}/recover/#token={token}"
    return jsonify(url=url, expires_at=expires_at.isoformat())


def post_recovery() -> Response:
    """POST /recover/owner: 201 and a session; everything that the old password opened ends."""
    body = read_json(Claim, request)
    node = services()
    try:
        owner = node.recovery.recover(body.token, body.owner_name, body.password)
    except SetupTokenRefused:
        node.audit.refuse("recovery_refused")
        raise
    _log.warning("owner_recovered")
    response = jsonify(owner_name=owner.name)
    response.status_code = 201
    # Recovered is recovered: without a session the owner still has a name and a password.
    with contextlib.suppress(DiskRefused):
        begin_session(owner, response)
    return response


def register(app: Flask) -> None:
    """Add the routes."""
    app.add_url_rule("/admin/recovery-token", methods=["POST"], view_func=post_recovery_token)
    app.add_url_rule("/recover/owner", methods=["POST"], view_func=post_recovery)

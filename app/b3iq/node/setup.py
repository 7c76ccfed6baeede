"""The claim: the setup token and a password make the owner, once."""

from __future__ import annotations

import contextlib
import logging

from flask import Flask, Response, jsonify, request
from pydantic import Field

from b3iq.credentials.errors import AlreadyClaimed, SetupTokenRefused
from b3iq.node.bodies import Body, read_json
from b3iq.node.owner import begin_session
from b3iq.node.services import services
from b3iq.store.errors import DiskRefused

_log = logging.getLogger(__name__)


class Claim(Body):
    """Body of POST /setup/claim."""

    token: str = Field(repr=False, max_length=128)
    owner_name: str = Field(max_length=256)
    password: str = Field(repr=False, max_length=4096)


def post_claim() -> Response:
    """POST /setup/claim: 201 and a session; 404 once there is an owner."""
    claim = read_json(Claim, request)
    node = services()
    try:
        owner = node.setup.claim(claim.token, claim.owner_name, claim.password)
    except (AlreadyClaimed, SetupTokenRefused):
        node.audit.refuse("setup_claim_refused")
        raise
    _log.info("node_claimed")
    response = jsonify(owner_name=owner.name)
    response.status_code = 201
    # Claimed is claimed: without a session the owner still has a name and a password.
    with contextlib.suppress(DiskRefused):
        begin_session(owner, response)
    return response


def register(app: Flask) -> None:
    """Add the route."""
    app.add_url_rule("/setup/claim", methods=["POST"], view_func=post_claim)

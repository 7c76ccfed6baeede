"""Recent receipts, for the owner and for the administrator."""

from __future__ import annotations

from typing import Annotated

from flask import Flask, Response, request
from pydantic import Field

from b3iq.evidence import signing
from b3iq.node.bodies import Body, read_query
from b3iq.node.services import services
from b3iq.receipts.record import Receipt


class ReceiptQuery(Body):
    """How many receipts are wanted."""

    limit: Annotated[int, Field(ge=1, le=500)] = 50


class ReceiptList(Body):
    """Receipts, newest first, with the key that verifies them (Ed25519, raw, base64url)."""

    node_id: str
    public_key_ed25519: str
    data: list[Receipt]


def get_receipts() -> Response:
    """GET /v1/receipts and, on the admin socket, GET /admin/receipts."""
    query = read_query(ReceiptQuery, request)
    log = services().receipts
    listing = ReceiptList(
        node_id=log.node_id,
        public_key_ed25519=signing.public_text(log.public_key),
        data=log.recent(query.limit),
    )
    return Response(listing.model_dump_json(), mimetype="application/json")


def register(app: Flask) -> None:
    """Add the routes."""
    app.add_url_rule("/v1/receipts", view_func=get_receipts)
    app.add_url_rule("/admin/receipts", "get_admin_receipts", view_func=get_receipts)

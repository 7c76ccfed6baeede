"""Who acts, as the audit log names them."""

from __future__ import annotations

from flask import g, has_request_context, request

from b3iq.audit.actions import NODE, Actor
from b3iq.audit.record import ActorKind
from b3iq.node import connection


def acting() -> Actor:
    """Who made the request that is being answered; outside of one, the node itself."""
    if not has_request_context():
        return NODE
    if connection.is_unix(request.environ):
        return Actor("admin", "local")
    who = g.get("principal")
    kind: ActorKind = "owner" if who is not None and who.session is not None else "visitor"
    return Actor(kind, connection.client_of(request))

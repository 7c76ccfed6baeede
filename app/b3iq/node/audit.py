"""The audit log over the admin socket."""

from __future__ import annotations

import logging
from typing import Annotated, Any

from flask import Flask, Response, request
from pydantic import Field

from b3iq.audit.errors import AuditRefused
from b3iq.audit.log import Entry
from b3iq.audit.record import Checkpoint
from b3iq.evidence import signing
from b3iq.node.bodies import Body, read_query
from b3iq.node.problems import HttpError
from b3iq.node.services import services

_log = logging.getLogger(__name__)
_Number = Annotated[int, Field(ge=0, le=2**53 - 1)]


class AuditQuery(Body):
    """The last events, newest first, or with `after` those that follow it, oldest first."""

    limit: Annotated[int, Field(ge=1, le=500)] = 50
    before: _Number | None = None
    after: _Number | None = None


class AuditEntry(Body):
    """One row as it is stored, right or wrong: the verifier judges it, not the node."""

    sequence: int
    event_hash: str
    event: Any

    @classmethod
    def of(cls, entry: Entry) -> AuditEntry:
        """The view of one row."""
        return cls(sequence=entry.sequence, event_hash=entry.event_hash, event=entry.event)


class AuditPage(Body):
    """A piece of the log, and what it has to be checked against."""

    node_id: str
    public_key_ed25519: str
    size: int
    checkpoint: Checkpoint | None
    checkpoint_fault: str | None
    data: list[AuditEntry]


def get_audit() -> Response:
    """GET /admin/audit."""
    query = read_query(AuditQuery, request)
    if query.before is not None and query.after is not None:
        raise HttpError(400, "before and after exclude each other.", code="invalid_request")
    node = services()
    # Before the events: the log has then reached it, whoever writes meanwhile.
    checkpoint, fault = _checkpoint()
    if query.after is not None:
        entries = node.audit.following(query.after, query.limit)
    else:
        entries = node.audit.recent(query.limit, query.before)
    page = AuditPage(
        node_id=node.receipts.node_id,
        public_key_ed25519=signing.public_text(node.audit.public_key),
        size=node.audit.size(),
        checkpoint=checkpoint,
        checkpoint_fault=fault,
        data=[AuditEntry.of(entry) for entry in entries],
    )
    return Response(page.model_dump_json(), mimetype="application/json")


def post_accept() -> Response:
    """POST /admin/audit/accept: go on from a log that does not match its checkpoint."""
    event = services().audit.accept()
    _log.warning("audit_log_accepted", extra={"sequence": event.sequence})
    return Response(event.model_dump_json(), mimetype="application/json")


def _checkpoint() -> tuple[Checkpoint | None, str | None]:
    try:
        return services().audit.checkpoint(), None
    except AuditRefused as refusal:
        return None, refusal.detail


def register(app: Flask) -> None:
    """Add the routes."""
    app.add_url_rule("/admin/audit", view_func=get_audit)
    app.add_url_rule("/admin/audit/accept", methods=["POST"], view_func=post_accept)

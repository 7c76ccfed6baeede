"""The owner's sessions over the admin socket; the console ends them by the same functions."""

from __future__ import annotations

import logging
from datetime import datetime

from flask import Flask, Response

from b3iq.credentials.sessions import OpenSession
from b3iq.node.bodies import Body
from b3iq.node.services import services

_log = logging.getLogger(__name__)


class SessionView(Body):
    """What is shown of a session."""

    session_id: str
    browser: str
    opened_at: datetime
    seen_at: datetime

    @classmethod
    def of(cls, session: OpenSession) -> SessionView:
        """The view of one session."""
        return cls(
            session_id=session.session_id,
            browser=session.browser,
            opened_at=session.opened_at,
            seen_at=session.seen_at,
        )


class SessionList(Body):
    """Every open session, newest first."""

    data: list[SessionView]


class Ended(Body):
    """How many sessions were ended."""

    ended: int


def revoke(session_id: str) -> None:
    """End one session, in force on its next request.

    No answer is streamed to a session today: only local keys run models. A stream that one
    day belongs to a session must be cut here, as `b3iq.node.keys.revoke` does.

    Raises:
        UnknownSession: no open session has this id.
    """
    services().sessions.revoke(session_id)
    _log.info("session_revoked", extra={"session_id": session_id})


def revoke_all(*, keep: str | None = None) -> int:
    """End every session but the one to keep; how many those were."""
    ended = services().sessions.revoke_all(keep=keep)
    _log.info("sessions_revoked", extra={"sessions_ended": ended})
    return ended


def get_sessions() -> Response:
    """GET /admin/sessions."""
    listing = SessionList(data=[SessionView.of(s) for s in services().sessions.list()])
    return Response(listing.model_dump_json(), mimetype="application/json")


def post_revoke(session_id: str) -> Response:
    """POST /admin/sessions/<session_id>/revoke."""
    revoke(session_id)
    return Response(Ended(ended=1).model_dump_json(), mimetype="application/json")


def post_revoke_all() -> Response:
    """POST /admin/sessions/revoke-all."""
    return Response(Ended(ended=revoke_all()).model_dump_json(), mimetype="application/json")


def register(app: Flask) -> None:
    """Add the routes."""
    app.add_url_rule("/admin/sessions", methods=["GET"], view_func=get_sessions)
    app.add_url_rule(
        "/admin/sessions/<session_id>/revoke",
        "post_session_revoke",
        methods=["POST"],
        view_func=post_revoke,
    )
    app.add_url_rule("/admin/sessions/revoke-all", methods=["POST"], view_func=post_revoke_all)

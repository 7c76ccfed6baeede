"""The owner's page about updates: what was found, why, and who vouches for it.

The page asks, and the updater decides: a button leaves an empty file in its spool.
"""

from __future__ import annotations

import logging

from flask import Flask, Response, request

from b3iq.console.notices import notice_of
from b3iq.console.render import page, see_other
from b3iq.console.rows import moment
from b3iq.node import owner
from b3iq.node.services import services
from b3iq.updates import requests
from b3iq.updates import status as status_
from b3iq.updates.requests import Verb

_log = logging.getLogger(__name__)
_BADGES = {"passed": "badge-ok", "waiting": "badge-warn", "failed": "badge-danger"}


def updates() -> Response:
    """GET /console/updates."""
    status = status_.read(services().paths.update_status)
    expires = min(status.chain.expires.values(), default=None) if status and status.chain else None
    return page(
        "updates.html",
        session=owner.session(),
        notice=notice_of(request.args.get("notice")),
        update=status,
        checked=moment(status.checked_at) if status and status.checked_at else "never",
        expires=moment(expires) if expires else "unknown",
        badges=_BADGES,
    )


def ask_check() -> Response:
    """POST /console/updates/check."""
    return _ask("check")


def ask_apply() -> Response:
    """POST /console/updates/apply."""
    return _ask("apply")


def ask_rollback() -> Response:
    """POST /console/updates/rollback."""
    return _ask("rollback")


def _ask(verb: Verb) -> Response:
    """Record the request, then leave it; one that cannot be recorded is not made.

    Raises:
        SpoolClosed: there is no updater to ask; nothing is recorded.
        DiskRefused: it cannot be recorded.
    """
    node = services()
    with node.database.write() as connection:
        node.audit.append(connection, "update_requested", verb=verb)
        requests.drop(node.paths.update_spool, verb)
    _log.info("update_requested", extra={"verb": verb})
    return see_other("/console/updates?notice=update-asked")


def register(app: Flask) -> None:
    """Add the pages."""
    app.add_url_rule("/console/updates", view_func=updates)
    app.add_url_rule("/console/updates/check", methods=["POST"], view_func=ask_check)
    app.add_url_rule("/console/updates/apply", methods=["POST"], view_func=ask_apply)
    app.add_url_rule("/console/updates/rollback", methods=["POST"], view_func=ask_rollback)

"""The owner's passkeys: the page that makes one, and what the security page does with them."""

from __future__ import annotations

import json
import logging

from flask import Flask, Response, request

from b3iq.console.render import page
from b3iq.console.security import AccountForm, back, session, show
from b3iq.credentials import names
from b3iq.credentials.errors import InvalidName
from b3iq.node import passkey_place
from b3iq.node.services import services

_log = logging.getLogger(__name__)


def begin_passkey() -> Response:
    """POST /console/passkeys: the page on which the browser makes the passkey.

    Raises:
        NoPasskeysHere: the page was opened by address.
        PasskeyConflict: there are too many already.
    """
    place = passkey_place.need(request)
    try:
        name = names.clean(request.form.get("name", ""))
    except InvalidName as refusal:
        return show(AccountForm(passkey_error=refusal.message), refusal.status)
    options = services().passkeys.begin(session(), place)
    return page("passkey.html", session=session(), name=name, options=json.dumps(options))


def add_passkey() -> Response:
    """POST /console/passkeys/confirm: keep what the browser made.

    Raises:
        InvalidName, PasskeyNotAdded, PasskeyConflict: nothing was kept.
    """
    added = services().passkeys.add(
        request.form.get("credential", ""),
        request.form.get("name", ""),
        session(),
        passkey_place.need(request),
    )
    _log.info("passkey_added", extra={"passkey_id": added.passkey_id})
    return back("passkey-added")


def remove_passkey(passkey_id: str) -> Response:
    """POST /console/passkeys/<passkey_id>/remove: every other session ends with it.

    Raises:
        UnknownPasskey: no passkey has this id.
    """
    ended = services().passkeys.remove(passkey_id, keep=session().session_id)
    _log.info("passkey_removed", extra={"passkey_id": passkey_id, "sessions_ended": ended})
    return back("passkey-removed")


def register(app: Flask) -> None:
    """Add the pages."""
    for path, view in (
        ("/console/passkeys", begin_passkey),
        ("/console/passkeys/confirm", add_passkey),
        ("/console/passkeys/<passkey_id>/remove", remove_passkey),
    ):
        app.add_url_rule(path, methods=["POST"], view_func=view)

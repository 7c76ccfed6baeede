"""The page of one local key: its limits, and a new secret for it."""

from __future__ import annotations

from flask import Response, request

from b3iq.console.limit_form import FIELDS, LimitForm
from b3iq.console.notices import notice_of
from b3iq.console.render import page, see_other
from b3iq.console.rows import KeyRow
from b3iq.credentials.keys import LocalKey
from b3iq.node import keys, owner
from b3iq.node.engine_errors import EngineUnavailable
from b3iq.node.services import services
from b3iq.store.clock import utc_now

# What the page offers, in minutes; the command takes any number.
OVERLAPS = {0: "at once", 10: "in 10 minutes", 60: "in an hour", 1440: "in a day"}
# Shown in the example before the engine has said what it serves.
_ANY_MODEL = "b3iq-smoke"


def show_key(key_id: str) -> Response:
    """GET /console/keys/<key_id>.

    Raises:
        UnknownKey: there is no such key.
    """
    key = services().keys.get(key_id)
    return _key(key, LimitForm.of(key.limits))


def change_limits(key_id: str) -> Response:
    """POST /console/keys/<key_id>/limits: every limit as the form has it.

    Raises:
        UnknownKey, KeyNotLive: there is no such key, or it opens nothing.
    """
    form = LimitForm.typed(request.form)
    wanted = form.read(utc_now())
    if isinstance(wanted, LimitForm):
        return _key(services().keys.get(key_id), wanted, 400)
    limits, expires_at = wanted
    keys.change(key_id, limits, expires_at=expires_at, keep_expiry=expires_at is None)
    return see_other("/console/?notice=key-limited")


def rotate_key(key_id: str) -> Response:
    """POST /console/keys/<key_id>/rotate: show the new secret, this once.

    Raises:
        UnknownKey, KeyNotLive: there is no such key, or it opens nothing.
    """
    asked = request.form.get("overlap_minutes", "0")
    minutes = next((number for number in OVERLAPS if str(number) == asked), 0)
    key, secret = keys.rotate(key_id, minutes)
    return show_secret(key, secret, 200)


def show_secret(key: LocalKey, secret: str, status: int) -> Response:
    """The page with a new secret; not a redirect, so that it is kept nowhere."""
    try:
        models = services().engine.models()
    except EngineUnavailable:
        models = ()
    return page(
        "key_created.html",
        status=status,
        session=owner.session(),
        key=KeyRow.of(key, utc_now()),
        secret=secret,
        base_url=request.host_url.rstrip("/"),
        model_id=models[0].id if models else _ANY_MODEL,
    )


def _key(key: LocalKey, form: LimitForm, status: int = 200) -> Response:
    return page(
        "key.html",
        status=status,
        session=owner.session(),
        notice=notice_of(request.args.get("notice")),
        key=KeyRow.of(key, utc_now()),
        limit_fields=FIELDS,
        limit_form=form,
        overlaps=OVERLAPS,
    )

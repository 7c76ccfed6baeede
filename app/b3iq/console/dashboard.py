"""The console proper: the node's state, its local keys, recent receipts and activity."""

from __future__ import annotations

from dataclasses import dataclass, replace

from flask import Response, request

from b3iq.console.activity import ActivityRow
from b3iq.console.key_page import show_secret
from b3iq.console.limit_form import EMPTY, FIELDS, LimitForm
from b3iq.console.notices import notice_of
from b3iq.console.render import page, see_other
from b3iq.console.rows import SCOPES, KeyRow, ReceiptRow
from b3iq.credentials import names
from b3iq.credentials.errors import InvalidName, InvalidScope
from b3iq.node import keys, owner
from b3iq.node.engine_client import EngineModel
from b3iq.node.engine_errors import EngineUnavailable
from b3iq.node.services import services
from b3iq.store.clock import utc_now

RECEIPTS_SHOWN = 10
EVENTS_SHOWN = 10


@dataclass(frozen=True)
class KeyForm:
    """What was typed into the form, and what was wrong with it beside which field."""

    name: str = ""
    scopes: tuple[str, ...] = ("inference",)
    name_error: str = ""
    scope_error: str = ""
    limits: LimitForm = EMPTY


def console() -> Response:
    """GET /console/."""
    return _console(KeyForm())


def create_key() -> Response:
    """POST /console/keys: make a key and show its secret, this once.

    The answer is the page itself, not a redirect: the secret is then kept nowhere.
    """
    name = request.form.get("name", "")
    scopes = tuple(request.form.getlist("scope"))
    typed = LimitForm.typed(request.form)
    form = KeyForm(name, scopes, limits=typed)
    wanted = typed.read(utc_now())
    if isinstance(wanted, LimitForm):
        return _console(replace(form, limits=wanted), 400)
    limits, expires_at = wanted
    try:
        if _is_in_use(names.clean(name)):
            error = "A key in use already has this name. Choose another, or revoke that one."
            return _console(replace(form, name_error=error), 409)
        key, secret = keys.create(name, scopes, expires_at, limits)
    except InvalidName as refusal:
        return _console(replace(form, name_error=refusal.detail), 400)
    except InvalidScope:
        return _console(replace(form, scope_error="Choose at least one."), 400)
    return show_secret(key, secret, 201)


def revoke_key(key_id: str) -> Response:
    """POST /console/keys/<key_id>/revoke: in force from the next request on.

    Raises:
        UnknownKey: there is no such key.
    """
    keys.revoke(key_id)
    return see_other("/console/?notice=key-revoked")


def _console(form: KeyForm, status: int = 200) -> Response:
    now = utc_now()
    models = _models()
    known = services().keys.list()
    names_of_keys = {key.key_id: key.name for key in known}
    return page(
        "console.html",
        status=status,
        session=owner.session(),
        notice=notice_of(request.args.get("notice")),
        base_url=request.host_url.rstrip("/"),
        engine_ready=models is not None,
        models=models or (),
        runtime_kind=services().config.runtime_kind,
        lan=services().lan,
        keys=[KeyRow.of(key, now) for key in known],
        scopes=SCOPES,
        form=form,
        limit_fields=FIELDS,
        limit_form=form.limits,
        receipts=[ReceiptRow.of(r) for r in services().receipts.recent(RECEIPTS_SHOWN)],
        events=[
            ActivityRow.of(entry, names_of_keys) for entry in services().audit.recent(EVENTS_SHOWN)
        ],
        audit_intact=services().audit.is_intact(),
    )


def _models() -> tuple[EngineModel, ...] | None:
    """What the engine serves; None while it does not answer."""
    try:
        return services().engine.models()
    except EngineUnavailable:
        return None


def _is_in_use(name: str) -> bool:
    # Two lines of one name in the list would leave the owner guessing which to revoke; it
    # also keeps a form that is sent twice from making two keys.
    now = utc_now()
    return any(k.name == name and k.is_live(now) for k in services().keys.list())

"""The owner's security page: sessions, second factor, name and password."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from flask import Flask, Response, request

from b3iq.console import qr
from b3iq.console.notices import notice_of
from b3iq.console.render import page, see_other
from b3iq.console.rows import SessionRow
from b3iq.credentials import totp
from b3iq.credentials.errors import EnrolmentCodeRefused, InvalidName, Unauthorized, WeakPassword
from b3iq.credentials.passwords import MINIMUM
from b3iq.credentials.sessions import Session
from b3iq.node import owner, sessions
from b3iq.node.services import services

_log = logging.getLogger(__name__)
_HERE = "/console/security"


@dataclass(frozen=True)
class AccountForm:
    """What was typed, and what was wrong with it beside which field. No password."""

    owner_name: str | None = None
    name_error: str = ""
    password_error: str = ""


def security() -> Response:
    """GET /console/security."""
    return _security(AccountForm())


def revoke_session(session_id: str) -> Response:
    """POST /console/sessions/<session_id>/revoke.

    Raises:
        UnknownSession: no open session has this id.
    """
    sessions.revoke(session_id)
    return _back("session-ended-here")


def revoke_others() -> Response:
    """POST /console/sessions/revoke-others."""
    sessions.revoke_all(keep=_session().session_id)
    return _back("sessions-ended")


def begin_second_factor() -> Response:
    """POST /console/second-factor: a new secret, on a page that no cache keeps.

    Raises:
        SecondFactorConflict: it is on.
    """
    return _enrolment(services().second_factor.begin())


def confirm_second_factor() -> Response:
    """POST /console/second-factor/confirm: the recovery codes, or the secret's page again.

    Raises:
        SecondFactorConflict: nothing is being set up.
    """
    factor = services().second_factor
    try:
        codes = factor.confirm(request.form.get("code", ""), keep=_session().session_id)
    except EnrolmentCodeRefused as refusal:
        return _enrolment(factor.begun(), refusal.status, error=refusal.message)
    _log.info("second_factor_on")
    return _codes(codes, is_new=True)


def renew_codes() -> Response:
    """POST /console/second-factor/codes.

    Raises:
        SecondFactorConflict: the second factor is off.
    """
    codes = services().second_factor.renew_codes()
    _log.info("recovery_codes_renewed")
    return _codes(codes, is_new=False)


def end_second_factor() -> Response:
    """POST /console/second-factor/off."""
    services().second_factor.turn_off()
    _log.warning("second_factor_off")
    return _back("second-factor-off")


def rename() -> Response:
    """POST /console/name: another name; every other session ends."""
    name = request.form.get("owner_name", "")
    try:
        ended = services().account.rename(name, keep=_session().session_id)
    except InvalidName as refusal:
        return _security(AccountForm(name, name_error=refusal.message), refusal.status)
    _log.info("owner_renamed", extra={"sessions_ended": ended})
    return _back("name-changed")


def change_password() -> Response:
    """POST /console/password: another password; every other session ends."""
    password = request.form.get("new_password", "")
    if password != request.form.get("new_password_again", ""):
        error = "The two passwords are not the same."
        return _security(AccountForm(password_error=error), 400)
    try:
        ended = services().account.change_password(password, keep=_session().session_id)
    except WeakPassword as refusal:
        return _security(AccountForm(password_error=refusal.message), refusal.status)
    _log.info("password_changed", extra={"sessions_ended": ended})
    return _back("password-changed")


def register(app: Flask) -> None:
    """Add the pages."""
    app.add_url_rule(_HERE, methods=["GET"], view_func=security)
    for path, view in (
        ("/console/sessions/<session_id>/revoke", revoke_session),
        ("/console/sessions/revoke-others", revoke_others),
        ("/console/second-factor", begin_second_factor),
        ("/console/second-factor/confirm", confirm_second_factor),
        ("/console/second-factor/codes", renew_codes),
        ("/console/second-factor/off", end_second_factor),
        ("/console/name", rename),
        ("/console/password", change_password),
    ):
        app.add_url_rule(path, methods=["POST"], view_func=view)


def _session() -> Session:
    session = owner.session()
    if session is None:
        raise Unauthorized  # the policy lets nobody else in
    return session


def _back(notice: str) -> Response:
    return see_other(f"{_HERE}?notice={notice}")


def _security(form: AccountForm, status: int = 200) -> Response:
    session = _session()
    listed = services().sessions.list()
    return page(
        "security.html",
        status,
        session=session,
        notice=notice_of(request.args.get("notice")),
        sessions=[SessionRow.of(item, session.session_id) for item in listed],
        factor=services().second_factor.state(),
        form=form,
        password_length=MINIMUM,
    )


def _enrolment(secret: str, status: int = 200, *, error: str = "") -> Response:
    session = _session()
    return page(
        "second_factor.html",
        status,
        session=session,
        code=qr.draw(totp.address(secret, session.owner.name)),
        secret=" ".join(secret[start : start + 4] for start in range(0, len(secret), 4)),
        error=error,
    )


def _codes(codes: list[str], *, is_new: bool) -> Response:
    return page("recovery_codes.html", 201, session=_session(), codes=codes, is_new=is_new)

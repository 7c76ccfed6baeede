"""The owner's security page: sessions, second factor, name and password.

Its passkeys are in `passkeys`.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from flask import Flask, Response, request

from b3iq.console import qr
from b3iq.console.notices import notice_of
from b3iq.console.render import page, see_other
from b3iq.console.rows import PasskeyRow, SessionRow
from b3iq.credentials import totp
from b3iq.credentials.errors import EnrolmentCodeRefused, InvalidName, Unauthorized, WeakPassword
from b3iq.credentials.passwords import MINIMUM
from b3iq.credentials.sessions import Session
from b3iq.node import owner, passkey_place, sessions
from b3iq.node.services import services

_log = logging.getLogger(__name__)
_HERE = "/console/security"


@dataclass(frozen=True)
class AccountForm:
    """What was typed, and what was wrong with it beside which field. No password."""

    owner_name: str | None = None
    name_error: str = ""
    password_error: str = ""
    passkey_error: str = ""


def security() -> Response:
    """GET /console/security."""
    return show(AccountForm())


def revoke_session(session_id: str) -> Response:
    """POST /console/sessions/<session_id>/revoke.

    Raises:
        UnknownSession: no open session has this id.
    """
    sessions.revoke(session_id)
    return back("session-ended-here")


def revoke_others() -> Response:
    """POST /console/sessions/revoke-others."""
    sessions.revoke_all(keep=session().session_id)
    return back("sessions-ended")


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
        codes = factor.confirm(request.form.get("code", ""), keep=session().session_id)
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
    return back("second-factor-off")


def rename() -> Response:
    """POST /console/name: another name; every other session ends."""
    name = request.form.get("owner_name", "")
    try:
        ended = services().account.rename(name, keep=session().session_id)
    except InvalidName as refusal:
        return show(AccountForm(name, name_error=refusal.message), refusal.status)
    _log.info("owner_renamed", extra={"sessions_ended": ended})
    return back("name-changed")


def change_password() -> Response:
    """POST /console/password: another password; every other session ends."""
    password = request.form.get("new_password", "")
    if password != request.form.get("new_password_again", ""):
        error = "The two passwords are not the same."
        return show(AccountForm(password_error=error), 400)
    try:
        ended = services().account.change_password(password, keep=session().session_id)
    except WeakPassword as refusal:
        return show(AccountForm(password_error=refusal.message), refusal.status)
    _log.info("password_changed", extra={"sessions_ended": ended})
    return back("password-changed")


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


def session() -> Session:
    """The session that asks; the policy lets nobody else in."""
    found = owner.session()
    if found is None:
        raise Unauthorized
    return found


def back(notice: str) -> Response:
    """To the security page, with one of its notices."""
    return see_other(f"{_HERE}?notice={notice}")


def show(form: AccountForm, status: int = 200) -> Response:
    """The page, with what was wrong in one of its forms."""
    this = session()
    listed = services().sessions.list()
    return page(
        "security.html",
        status,
        session=this,
        notice=notice_of(request.args.get("notice")),
        sessions=[SessionRow.of(item, this.session_id) for item in listed],
        factor=services().second_factor.state(),
        passkeys=[PasskeyRow.of(item) for item in services().passkeys.list()],
        passkey_advice=passkey_place.advice(request),
        with_passkey=services().passkeys.are_for(passkey_place.find(request)),
        form=form,
        password_length=MINIMUM,
    )


def _enrolment(secret: str, status: int = 200, *, error: str = "") -> Response:
    this = session()
    return page(
        "second_factor.html",
        status,
        session=this,
        code=qr.draw(totp.address(secret, this.owner.name)),
        secret=" ".join(secret[start : start + 4] for start in range(0, len(secret), 4)),
        error=error,
    )


def _codes(codes: list[str], *, is_new: bool) -> Response:
    return page("recovery_codes.html", 201, session=session(), codes=codes, is_new=is_new)

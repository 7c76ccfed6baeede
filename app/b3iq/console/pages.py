"""The owner's pages: routes, setup, login and logout. The console is in `dashboard`."""

from __future__ import annotations

from flask import Flask, Response, request

from b3iq.console import dashboard, key_page
from b3iq.console.assets import static_file
from b3iq.console.login_page import login_page
from b3iq.console.notices import notice_of
from b3iq.console.render import harden, page, see_other, with_retry_after
from b3iq.credentials.errors import ChallengeOver, CodeRefused, LoginRefused, TooManyAttempts
from b3iq.credentials.passkey_errors import PasskeyRefused
from b3iq.credentials.passwords import MINIMUM
from b3iq.node import owner
from b3iq.node.services import services


def home() -> Response:
    """GET /: wherever the visitor has to go next."""
    if not services().owners.is_claimed():
        return see_other("/setup/")
    return see_other("/console/" if owner.session() else "/login")


def setup() -> Response:
    """GET /setup/: the wizard; 404 once the node has its owner."""
    if services().owners.is_claimed():
        return page("claimed.html", 404)
    return page("setup.html", password_length=MINIMUM)


def recover() -> Response:
    """GET /recover/: where a recovery link leads; an unclaimed node has nothing to recover."""
    if not services().owners.is_claimed():
        return see_other("/setup/")
    return page("recover.html", password_length=MINIMUM)


def show_login() -> Response:
    """GET /login."""
    if not services().owners.is_claimed():
        return see_other("/setup/")
    return login_page(notice=notice_of(request.args.get("notice")))


def log_in() -> Response:
    """POST /login: the console, the page that asks for a code, or the form again."""
    name = request.form.get("owner_name", "")
    response = see_other("/console/")
    try:
        needed = owner.log_in(name, request.form.get("password", ""), response)
    except (LoginRefused, TooManyAttempts) as refusal:
        return with_retry_after(
            login_page(refusal.status, error=_words(refusal), owner_name=name), refusal
        )
    return response if needed is None else _login_code(needed.challenge)


def log_in_with_code() -> Response:
    """POST /login/code: the console, or the page again with what was wrong."""
    challenge = request.form.get("challenge", "")
    response = see_other("/console/")
    try:
        owner.log_in_with_code(challenge, request.form.get("code", ""), response)
    except (CodeRefused, TooManyAttempts) as refusal:
        answer = _login_code(challenge, refusal.status, error=refusal.message)
        return with_retry_after(answer, refusal)
    except (ChallengeOver, LoginRefused) as refusal:
        return login_page(refusal.status, error=refusal.message)
    return response


def log_in_with_passkey() -> Response:
    """POST /login/passkey: the console, or the login page again.

    Raises:
        NoPasskeysHere: the page was opened by address.
    """
    response = see_other("/console/")
    try:
        owner.log_in_with_passkey(request.form.get("credential", ""), response)
    except (PasskeyRefused, TooManyAttempts) as refusal:
        return with_retry_after(login_page(refusal.status, error=refusal.message), refusal)
    return response


def log_out() -> Response:
    """POST /logout: end the session on the server, then the login page."""
    response = see_other("/login?notice=logged-out")
    owner.log_out(response)
    return response


def register(app: Flask) -> None:
    """Add the pages, their static files and the headers that confine them."""
    app.add_url_rule("/", methods=["GET"], view_func=home)
    app.add_url_rule("/setup/", methods=["GET"], view_func=setup)
    app.add_url_rule("/login", methods=["GET"], view_func=show_login)
    app.add_url_rule("/login", methods=["POST"], view_func=log_in)
    app.add_url_rule("/login/code", methods=["POST"], view_func=log_in_with_code)
    app.add_url_rule("/login/passkey", methods=["POST"], view_func=log_in_with_passkey)
    app.add_url_rule("/recover/", methods=["GET"], view_func=recover)
    app.add_url_rule("/logout", methods=["POST"], view_func=log_out)
    app.add_url_rule("/console/", methods=["GET"], view_func=dashboard.console)
    app.add_url_rule("/console/keys", methods=["POST"], view_func=dashboard.create_key)
    app.add_url_rule(
        "/console/keys/<key_id>/revoke", methods=["POST"], view_func=dashboard.revoke_key
    )
    app.add_url_rule("/console/keys/<key_id>", methods=["GET"], view_func=key_page.show_key)
    app.add_url_rule(
        "/console/keys/<key_id>/limits", methods=["POST"], view_func=key_page.change_limits
    )
    app.add_url_rule(
        "/console/keys/<key_id>/rotate", methods=["POST"], view_func=key_page.rotate_key
    )
    app.add_url_rule("/static/<path:filename>", methods=["GET"], view_func=static_file)
    app.after_request(harden)


def _login_code(challenge: str, status: int = 200, *, error: str = "") -> Response:
    return page("login_code.html", status, challenge=challenge, error=error)


def _words(refusal: LoginRefused | TooManyAttempts) -> str:
    return refusal.detail if isinstance(refusal, LoginRefused) else refusal.message

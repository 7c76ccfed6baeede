"""The login page, which more than one refusal leads to."""

from __future__ import annotations

from flask import Response, request

from b3iq.console.notices import Notice
from b3iq.console.render import page
from b3iq.node import passkey_place


def login_page(
    status: int = 200, *, notice: Notice | None = None, error: str = "", owner_name: str = ""
) -> Response:
    """Name and password, or a passkey where the page was opened by a name."""
    return page(
        "login.html",
        status,
        notice=notice,
        error=error,
        owner_name=owner_name,
        passkey_advice=passkey_place.advice(request),
    )

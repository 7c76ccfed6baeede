"""Renders the console's templates and sets the headers that confine them."""

from __future__ import annotations

from pathlib import Path

from flask import Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from b3iq.console.assets import static_url
from b3iq.errors import B3iqError

# Nothing but this node's own files, no inline script or style, no frame around it
# (CSP level 3, W3C). A page that needs more must change this line and its test.
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    )
)
_HEADERS = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # Not `no-referrer`: under it browsers send `Origin: null` with a form (Fetch standard,
    # "append a request Origin header") and the gate could not tell its own pages.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
}

_environment = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
)
_environment.globals["static"] = static_url


def page(template: str, status: int = 200, **context: object) -> Response:
    """Render a template into an HTML response that no cache keeps.

    `session` may be left out of the context on pages that nobody is logged in to.

    Raises:
        jinja2.UndefinedError: the template uses a name that the context lacks.
    """
    body = _environment.get_template(template).render(
        {"session": None, "status": status, **context}
    )
    response = Response(body, status=status, content_type="text/html; charset=utf-8")
    response.headers["cache-control"] = "no-store"
    return response


def with_retry_after(response: Response, error: B3iqError) -> Response:
    """Say when to try again, if the error knows."""
    if error.retry_after_s is not None:
        response.headers["retry-after"] = str(error.retry_after_s)
    return response


def see_other(path: str) -> Response:
    """Send the browser to another page of this node with GET (RFC 9110 section 15.4.4)."""
    response = Response(status=303)
    response.headers["location"] = path
    response.headers["cache-control"] = "no-store"
    return response


def harden(response: Response) -> Response:
    """Set the security headers on any response that has not set its own."""
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers.setdefault("cache-control", "no-store")
    return response

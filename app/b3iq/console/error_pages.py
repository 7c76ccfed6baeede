"""Errors as pages, for a person whose browser asked for a page."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Response, request

from b3iq.console import step_up
from b3iq.console.login_page import login_page
from b3iq.console.notices import NOTICES, Notice
from b3iq.console.render import page, see_other
from b3iq.credentials.errors import ProofNeeded
from b3iq.errors import B3iqError

# What programs ask for; they get JSON whatever they say they accept.
_FOR_PROGRAMS = (
    "/v1/",
    "/admin/",
    "/setup/claim",
    "/recover/owner",
    "/metrics",
    "/health",
    "/openapi.json",
)


@dataclass(frozen=True)
class Link:
    """The way on from an error."""

    href: str
    text: str


_WORDS = {
    403: ("The node refused this", "Nothing was changed. Go back to the console and try again."),
    404: ("There is no such page", "Check the address, or start again from the console."),
    405: ("This address takes no such request", "Nothing was changed."),
    413: ("That was too much", "What was sent is larger than the node accepts."),
    421: (
        "The node does not answer to this name",
        "Open it as localhost, with the same port. A further name goes into host_names.",
    ),
}


def wants_page() -> bool:
    """Whether the client of this request should get a page rather than JSON."""
    if request.path.startswith(_FOR_PROGRAMS):
        return False
    accepted = request.accept_mimetypes
    return accepted.best_match(["application/json", "text/html"]) == "text/html"


def error_page(error: B3iqError, *, had_session: bool) -> Response:
    """The page of an error.

    Args:
        error: what happened; its detail and remedy are written for the reader.
        had_session: the browser sent a session cookie (which has ended, if this is a 401).
    """
    if isinstance(error, ProofNeeded):
        return step_up.ask(error)
    if error.status == 401:
        return _login_again(had_session=had_session)
    title, detail = _WORDS.get(error.status, (error.title, error.message))
    if error.status == 421:
        # Style sheets would be refused for the same reason, so this page has none.
        return page("bare.html", error.status, title=title, detail=detail)
    link = Link("/", "Go to the console")
    return page("error.html", error.status, title=title, detail=detail, link=link)


def _login_again(*, had_session: bool) -> Response:
    if request.method in {"GET", "HEAD"}:
        return see_other("/login?notice=session-ended" if had_session else "/login")
    ended = NOTICES["session-ended"]
    notice = Notice(f"{ended.text} Nothing was changed.", ended.style)
    return login_page(401, notice=notice)

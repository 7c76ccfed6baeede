"""One-line messages that a page shows after a redirect, chosen by a name in the address."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Notice:
    """The text and the class of its box ("" is good news)."""

    text: str
    style: str = ""


NOTICES = {
    "key-limited": Notice("The limits of the key are changed."),
    "key-revoked": Notice("The key is revoked."),
    "logged-out": Notice("You are logged out."),
    "session-ended": Notice("Your session has ended. Log in again.", "notice-warn"),
}


def notice_of(name: str | None) -> Notice | None:
    """The notice of that name; None for any other, so that no link can put words here."""
    return NOTICES.get(name or "")

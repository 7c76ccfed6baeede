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
    "session-ended-here": Notice("The session is ended."),
    "sessions-ended": Notice("Every other session is ended."),
    "second-factor-on": Notice("The second factor is on. Your next login asks for a code."),
    "second-factor-off": Notice("The second factor is off.", "notice-warn"),
    "passkey-added": Notice("The passkey is added. It logs you in without a password."),
    "passkey-removed": Notice("The passkey is removed. Every other session is ended."),
    "name-changed": Notice("Your name is changed. Every other session is ended."),
    "password-changed": Notice("Your password is changed. Every other session is ended."),
    "update-asked": Notice("The updater is asked. Load this page again in a moment."),
    "logged-out": Notice("You are logged out."),
    "session-ended": Notice("Your session has ended. Log in again.", "notice-warn"),
}


def notice_of(name: str | None) -> Notice | None:
    """The notice of that name; None for any other, so that no link can put words here."""
    return NOTICES.get(name or "")

"""What a browser calls itself, in words of a closed set: for the owner's list of sessions.

The header itself is not kept. It identifies people, and whoever writes it could put any words
before the owner.
"""

from __future__ import annotations

from flask import Request

# The first that is found counts: browsers name those that they descend from, too.
_BROWSERS = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
_SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
)


def browser_of(request: Request) -> str:
    """Such as ``Firefox on Linux``; it is what the browser claims and proves nothing."""
    said = request.headers.get("User-Agent", "")
    browser = _first(_BROWSERS, said) or "Another program"
    system = _first(_SYSTEMS, said)
    return f"{browser} on {system}" if system else browser


def _first(words: tuple[tuple[str, str], ...], said: str) -> str:
    return next((name for mark, name in words if mark in said), "")

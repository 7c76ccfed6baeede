"""The options of `b3iq keys` that limit a key, and the words for limits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import click

# The schema of the node has the bounds; these options only have the names.
_OPTIONS = (
    click.option(
        "--model",
        "models",
        multiple=True,
        metavar="MODEL",
        help="A model that the key may use; may be repeated. Without it, all.",
    ),
    click.option(
        "--requests-per-minute",
        type=click.IntRange(min=1),
        help="Requests in any 60 seconds; one more is a 429.",
    ),
    click.option(
        "--tokens-per-minute",
        type=click.IntRange(min=1),
        help="Tokens of prompts and answers in any 60 seconds. A request is let in while "
        "some are left, and finishes.",
    ),
    click.option(
        "--concurrency", type=click.IntRange(min=1), help="Answers at once; one more is a 429."
    ),
    click.option(
        "--allow-address",
        "addresses",
        multiple=True,
        metavar="CIDR",
        help="An address or network that the key may be used from, such as 192.0.2.7 or "
        "192.0.2.0/24; may be repeated. Without it, all.",
    ),
    click.option(
        "--expires-days",
        type=click.IntRange(1, 3650),
        help="Days until the key expires; without it, never.",
    ),
)
# What `--remove` takes, and the field that it means.
REMOVABLE = {
    "models": "models",
    "requests-per-minute": "requests_per_minute",
    "tokens-per-minute": "tokens_per_minute",
    "concurrency": "concurrency",
    "addresses": "addresses",
    "expiry": "expires_at",
}


def limit_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options; the command takes them as keywords and hands them to `stated`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def stated(given: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a body that says what was given, and nothing about what was not."""
    body: dict[str, Any] = {}
    limits = {name: value for name, value in given.items() if value not in (None, ())}
    days = limits.pop("expires_days", None)
    if limits:
        body["limits"] = limits
    if days is not None:
        body["expires_at"] = (datetime.now(UTC) + timedelta(days=days)).isoformat()
    return body


def words(limits: Mapping[str, Any]) -> str:
    """The limits of a key in a line; `none` without any."""
    told = [
        f"{limits[name]} {what}"
        for name, what in (
            ("requests_per_minute", "requests/min"),
            ("tokens_per_minute", "tokens/min"),
            ("concurrency", "at once"),
        )
        if limits[name] is not None
    ]
    if limits["models"] is not None:
        told.append(f"models {', '.join(limits['models']) or 'none'}")
    if limits["addresses"] is not None:
        told.append(f"from {', '.join(limits['addresses']) or 'nowhere'}")
    return "; ".join(told) or "none"

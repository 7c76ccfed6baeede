"""Where the limits of a local key are enforced, and told to its clients.

Each request of a key passes, after its secret was checked and before it costs anything:

a. the address it comes from (403);
b. on a route that is metered, the rates of the last minute (429). They are looked at again
   in the transaction that opens the receipt, so that requests that come at once cannot
   all pass by the same count;
c. once the body is read, the model it asks for (403);
d. its own cap of answers at once, with the slot (429, `b3iq.node.streams`).
"""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import cast

from flask import Response, g
from sqlalchemy import Connection

from b3iq.credentials.keys import LocalKey
from b3iq.errors import B3iqError
from b3iq.node.services import Services
from b3iq.receipts import usage
from b3iq.receipts.usage import WINDOW, KeyUsage
from b3iq.store.clock import utc_now


class AddressNotAllowed(B3iqError):
    """The key may not be used from where the request comes from."""

    code = "address_not_allowed"
    title = "The key may not be used from this address"
    status = 403

    def __init__(self) -> None:
        super().__init__(
            "This key may not be used from this address.",
            remedy="Ask the owner of the node to allow it (`b3iq keys limit --allow-address`).",
        )


class ModelNotAllowed(B3iqError):
    """The key may not ask this model, whether or not it is installed."""

    code = "model_not_allowed"
    title = "The key may not use this model"
    status = 403

    def __init__(self) -> None:
        super().__init__(
            "This key may not use the model asked for.",
            remedy="GET /v1/models lists those that it may use.",
            param="model",
        )


class RateLimited(B3iqError):
    """The key used up what it may use in a minute."""

    code = "rate_limit_exceeded"
    title = "The key has used what it may use in a minute"
    status = 429

    def __init__(self, what: str, limit: int, wait: timedelta) -> None:
        super().__init__(
            f"This key may use {limit} {what} in 60 seconds and has used them.",
            remedy="Retry after the time in the retry-after header.",
        )
        self.retry_after_s = max(1, math.ceil(wait.total_seconds()))


class Admission:
    """One request's look at the rates of its key.

    Attributes:
        used: by the requests before it, as it was last seen; None for a key without rates.
        counted: whether the request itself was let in, and so counts.
    """

    def __init__(self, key: LocalKey) -> None:
        self.key = key
        self.used: KeyUsage | None = None
        self.counted = False

    @property
    def has_rates(self) -> bool:
        """Whether there is anything to look at."""
        return self.key.limits.has_rates

    def look(self, connection: Connection, now: datetime) -> None:
        """Let the request in by what the key has used.

        Raises:
            RateLimited: that is all that it may.
        """
        if not self.has_rates:
            return
        limits, key_id = self.key.limits, self.key.key_id
        used = usage.usage(connection, key_id, now)
        self.used, self.counted = used, False
        requests, tokens = limits.requests_per_minute, limits.tokens_per_minute
        if requests is not None and used.requests >= requests:
            wait = usage.requests_fall_below(connection, key_id, now, requests)
            raise RateLimited("requests", requests, wait)
        if tokens is not None and used.tokens >= tokens:
            wait = usage.tokens_fall_below(connection, key_id, now, tokens)
            raise RateLimited("tokens", tokens, wait)
        self.counted = True


def check_address(key: LocalKey, address: str | None) -> None:
    """Step a.

    Raises:
        AddressNotAllowed: the key has a list of addresses and this is not among them.
    """
    if not key.limits.allows_address(address):
        raise AddressNotAllowed


def admit(key: LocalKey, services: Services) -> None:
    """Step b, before the body is read; `admission` has the outcome.

    Raises:
        RateLimited: the key has used what it may.
    """
    g.admission = Admission(key)
    if g.admission.has_rates:
        with services.database.read() as connection:
            g.admission.look(connection, utc_now())


def admission() -> Admission:
    """How the request to a metered route was let in."""
    return cast("Admission", g.admission)


def check_model(key: LocalKey, model_id: str) -> None:
    """Step c.

    Raises:
        ModelNotAllowed: the key has a list of models and this is not among them.
    """
    if not key.limits.allows_model(model_id):
        raise ModelNotAllowed


def tell(response: Response) -> None:
    """Put the `x-ratelimit-*` headers of this request's key on its response, if it has rates."""
    seen: Admission | None = g.get("admission")
    if seen is None or seen.used is None:
        return
    limits, used, now = seen.key.limits, seen.used, utc_now()
    if limits.requests_per_minute is not None:
        requests = used.requests + seen.counted
        last = now if seen.counted else used.last_request_at
        _tell(response, "requests", limits.requests_per_minute, requests, _reset(last, now))
    if limits.tokens_per_minute is not None:
        reset = _reset(used.last_token_at, now)
        _tell(response, "tokens", limits.tokens_per_minute, used.tokens, reset)


def _tell(response: Response, what: str, limit: int, used: int, reset: timedelta) -> None:
    response.headers[f"x-ratelimit-limit-{what}"] = str(limit)
    response.headers[f"x-ratelimit-remaining-{what}"] = str(max(0, limit - used))
    response.headers[f"x-ratelimit-reset-{what}"] = duration(reset)


def _reset(last: datetime | None, now: datetime) -> timedelta:
    """How long until nothing counts any more."""
    if last is None:
        return timedelta(0)
    return min(max(last + WINDOW - now, timedelta(0)), 2 * WINDOW)


def duration(length: timedelta) -> str:
    """A duration as OpenAI's API writes it: ``0s``, ``120ms``, ``4.06s``, ``1m0s``."""
    milliseconds = round(length.total_seconds() * 1000)
    if 0 < milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds, 60_000)
    seconds = f"{rest / 1000:.3f}".rstrip("0").rstrip(".")
    return f"{minutes}m{seconds}s" if minutes else f"{seconds}s"

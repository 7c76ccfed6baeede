"""What can go wrong between the node and the engine, in the node's own words.

Of what the engine says only status, code and parameter name are read: the words of some
other server behind the socket may quote the request.
"""

from __future__ import annotations

import json

from b3iq.errors import B3iqError


class EngineUnavailable(B3iqError):
    """Nobody answers on the engine's socket, or the engine is still loading its model."""

    code = "engine_unavailable"
    title = "The engine is not running"
    status = 503
    retry_after_s = 2


class EngineOverloaded(B3iqError):
    """The engine's queue is full."""

    code = "engine_overloaded"
    title = "The engine has more requests waiting than it accepts"
    status = 429
    retry_after_s = 1


class EngineFailed(B3iqError):
    """The engine stopped in the middle of an answer."""

    code = "engine_failed"
    title = "The engine failed while it was making the answer"
    status = 502


class EngineRefused(B3iqError):
    """The engine did not accept the request as it was put."""

    code = "invalid_request"
    title = "The engine refused the request"
    status = 400


class ContextLengthExceeded(B3iqError):
    """The messages are longer than the model's context."""

    code = "context_length_exceeded"
    title = "The messages do not fit into the model's context"
    status = 400


class ModelNotFound(B3iqError):
    """The model that was asked for is not installed here."""

    code = "model_not_found"
    title = "No such model on this node"
    status = 404


def unavailable() -> EngineUnavailable:
    """The engine does not answer."""
    return EngineUnavailable(
        "The engine is not running or is still loading its model.",
        remedy="Retry shortly; the node's operator sees the reason in the engine's journal.",
    )


def failed() -> EngineFailed:
    """The engine stopped answering."""
    return EngineFailed(
        "The engine failed while it was making the answer.",
        remedy="It is restarted by itself; send the request again.",
    )


def refusal(status: int, body: bytes) -> B3iqError:
    """The engine's refusal in the node's words; only codes and names are taken from it."""
    try:
        error = json.loads(body)["error"]
        code, param = error.get("code"), error.get("param")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        code, param = None, None
    if status == 429:
        return EngineOverloaded("The engine's queue is full.", remedy="Retry after a second.")
    if status >= 500:
        return unavailable()
    if code == "context_length_exceeded":
        return ContextLengthExceeded(
            "The messages are longer than the model's context.",
            remedy="Send fewer or shorter messages.",
            param="messages",
        )
    named = param if isinstance(param, str) else None
    return EngineRefused(
        f"The engine does not accept {named or 'the request as it was put'}.",
        remedy="The local API's documentation lists what is supported.",
        param=named,
    )

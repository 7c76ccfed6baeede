"""What can go wrong with a request to the engine, as a client is told it."""

from __future__ import annotations

from b3iq.errors import B3iqError


class EngineError(B3iqError):
    """Base of the engine's errors; `type` is the OpenAI error type."""

    type = "api_error"


class RequestRefused(EngineError):
    """The request cannot be served as it was asked; `param` names the culprit."""

    code = "invalid_request"
    title = "The request is not valid"
    status = 400
    type = "invalid_request_error"


class ContextLengthExceeded(RequestRefused):
    """The prompt leaves no room for an answer in the model's context."""

    code = "context_length_exceeded"
    title = "The prompt is longer than the model's context"


class ModelNotFound(EngineError):
    """The request names a model that this engine does not serve."""

    code = "model_not_found"
    title = "No such model"
    status = 404
    type = "not_found_error"


class EngineOverloaded(EngineError):
    """Every slot and every place in the queue is taken."""

    code = "engine_overloaded"
    title = "The engine is full"
    status = 429
    type = "rate_limit_error"


class EngineNotReady(EngineError):
    """The model is loading, or the engine is stopping."""

    code = "engine_not_ready"
    title = "The engine is not ready"
    status = 503


class EngineFailed(EngineError):
    """A step failed; every sequence that ran in it ends with this."""

    code = "engine_failed"
    title = "The engine failed"
    status = 503


class Cancelled(EngineError):
    """The client left; nobody reads this error, it only ends the stream."""

    code = "cancelled"
    title = "The client left"
    status = 499

"""The one door from the node to the engine: an OpenAI-compatible server on a Unix socket.

Answers are always streamed here, whatever the client asked for, so that the node knows at
every moment how many tokens it has received (`continuous_usage_stats`). Fields that are
not named below are dropped and those that are named must fit their types: the engine parses
files of strangers, so what it says is read as a stranger's words are.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, TypeAdapter

from b3iq.evidence.fields import Count
from b3iq.node.engine_errors import (
    EngineFailed,
    EngineUnavailable,
    ModelNotFound,
    failed,
    refusal,
    unavailable,
)
from b3iq.node.engine_wire import Exchange, Waiter, WireError
from b3iq.schemas import Sha256

_BODY_LIMIT = 1024 * 1024
# Model names and digests change only when the engine restarts.
_MODELS_FRESH_S = 2.0
# Questions that need no generation are answered from memory by the engine.
_ANSWER_S = 5.0
_DONE = b"[DONE]"
# What OpenAI's API knows. Another reason (vLLM's `abort`) is no complete answer.
_FINISH_REASONS = frozenset({None, "stop", "length", "content_filter", "tool_calls"})


# Half of what a receipt can hold, because it holds their sum too.
_HalfCount = Annotated[int, Field(ge=0, le=2**52 - 1)]


@dataclass(frozen=True)
class Usage:
    """Tokens that the engine counted so far."""

    prompt_tokens: _HalfCount = 0
    completion_tokens: _HalfCount = 0


@dataclass(frozen=True)
class EngineModel:
    """A model that the engine serves; digests are hexadecimal SHA-256, None if unstated."""

    id: Annotated[str, Field(min_length=1, max_length=256)]
    created: int = 0
    owned_by: Annotated[str, Field(max_length=256)] = "b3iq"
    max_model_len: Count | None = None
    weights_sha256: Sha256 | None = None
    manifest_sha256: Sha256 | None = None


_USAGE = TypeAdapter(Usage)
_MODELS = TypeAdapter(tuple[EngineModel, ...])


@dataclass(frozen=True)
class EngineChunk:
    """One event of a streamed answer: new text, how it ended if it did, tokens so far."""

    text: str
    finish_reason: str | None
    usage: Usage | None


class EngineStream:
    """An answer being streamed by the engine. Close it: that cancels what is left."""

    def __init__(self, exchange: Exchange, waiter: Waiter) -> None:
        self._exchange = exchange
        self._waiter = waiter

    def batches(self) -> Iterator[list[EngineChunk]]:
        """Chunks as they arrive, together those that arrived together, until ``[DONE]``.

        Raises:
            EngineFailed: the engine died, or said that it failed.
            ClientGone, StreamCut: the answer is no longer wanted.
        """
        rest = b""
        try:
            while data := self._exchange.read(self._waiter):
                *lines, rest = (rest + data).split(b"\n")
                if len(rest) > _BODY_LIMIT:
                    raise WireError("an event without an end")
                events = [line[5:].strip() for line in lines if line.startswith(b"data:")]
                yield from _chunks(event for event in events if event != _DONE)
                if _DONE in events:
                    return
        except (WireError, OSError) as error:
            raise failed() from error
        raise failed()

    def close(self) -> None:
        """Close the connection to the engine (again does nothing)."""
        self._exchange.close()


class EngineClient:
    """Asks the engine; safe to use from every thread.

    Args:
        socket_path: the engine's Unix socket.
        connect_s: how long a request may wait for the engine to take it, in seconds.
    """

    def __init__(self, socket_path: Path, connect_s: float) -> None:
        self._socket_path = socket_path
        self._connect_s = connect_s
        self._lock = threading.Lock()
        self._models: tuple[EngineModel, ...] = ()
        self._models_until = 0.0

    def is_healthy(self) -> bool:
        """Whether the engine has its model loaded and answers."""
        try:
            status, _ = self._get("/health")
        except EngineUnavailable:
            return False
        return status == 200

    def models(self) -> tuple[EngineModel, ...]:
        """The models that the engine serves.

        Raises:
            EngineUnavailable: the engine does not answer.
        """
        with self._lock:
            if time.monotonic() < self._models_until:
                return self._models
        status, body = self._get("/v1/models")
        if status != 200:
            raise unavailable()
        models = _models(body)
        with self._lock:
            self._models, self._models_until = models, time.monotonic() + _MODELS_FRESH_S
        return models

    def model(self, model_id: str) -> EngineModel:
        """One model by its id.

        Raises:
            ModelNotFound: the engine serves no such model.
            EngineUnavailable: the engine does not answer.
        """
        models = self.models()
        for model in models:
            if model.id == model_id:
                return model
        raise ModelNotFound(
            "The model asked for is not installed on this node.",
            remedy=f"Installed: {', '.join(model.id for model in models) or 'none'}.",
            param="model",
        )

    def begin(self, request: Mapping[str, Any]) -> Exchange:
        """Send a chat request and return without waiting for the answer; then `stream`.

        Raises:
            EngineUnavailable: the engine does not take the request.
        """
        body = dict(request)
        body["stream"] = True
        body["stream_options"] = {"include_usage": True, "continuous_usage_stats": True}
        return self._send("POST", "/v1/chat/completions", json.dumps(body).encode())

    def stream(
        self,
        exchange: Exchange,
        client: socket.socket | None = None,
        is_cut: Callable[[], bool] = lambda: False,
    ) -> EngineStream:
        """Wait for the engine to accept what `begin` sent.

        Args:
            exchange: from `begin`; it is closed if this raises.
            client: the client's connection, watched for its end.
            is_cut: asked at least every 250 ms; True ends the stream.

        Raises:
            ContextLengthExceeded, EngineRefused, EngineOverloaded: it did not accept.
            EngineUnavailable: it is loading its model.
            EngineFailed: it died before it answered.
            ClientGone, StreamCut: the answer is no longer wanted.
        """
        try:
            waiter = Waiter(exchange.socket, client, is_cut)
            try:
                exchange.read_head(waiter)
                if exchange.status == 200:
                    # Waiting is done by the waiter; the socket itself must never time out.
                    exchange.socket.settimeout(None)
                    return EngineStream(exchange, waiter)
                body = exchange.read_all(waiter, _BODY_LIMIT, time.monotonic() + _ANSWER_S)
            except (WireError, OSError) as error:
                raise failed() from error
            raise refusal(exchange.status, body)
        except BaseException:
            exchange.close()
            raise

    def _get(self, path: str) -> tuple[int, bytes]:
        exchange = self._send("GET", path)
        try:
            deadline = time.monotonic() + _ANSWER_S
            waiter = Waiter(exchange.socket)
            exchange.read_head(waiter, deadline)
            return exchange.status, exchange.read_all(waiter, _BODY_LIMIT, deadline)
        except (WireError, OSError) as error:
            raise unavailable() from error
        finally:
            exchange.close()

    def _send(self, method: str, path: str, body: bytes | None = None) -> Exchange:
        try:
            exchange = Exchange(self._socket_path, self._connect_s)
        except OSError as error:
            raise unavailable() from error
        try:
            exchange.send(method, path, body)
        except OSError as error:
            exchange.close()
            raise unavailable() from error
        return exchange


def _chunks(events: Iterable[bytes]) -> Iterator[list[EngineChunk]]:
    """One batch, also when what follows in it is an error: what came before was received."""
    chunks: list[EngineChunk] = []
    try:
        chunks.extend(map(_chunk, events))
    except EngineFailed:
        if chunks:
            yield chunks
        raise
    if chunks:
        yield chunks


def _chunk(event: bytes) -> EngineChunk:
    try:
        fields = json.loads(event)
        if "error" in fields:
            raise failed()
        usage = fields.get("usage")
        counted = _USAGE.validate_python(usage) if usage else None
        if not fields["choices"]:
            return EngineChunk("", None, counted)
        choice = fields["choices"][0]
        text = choice["delta"].get("content") or ""
        reason = choice.get("finish_reason")
        if reason not in _FINISH_REASONS:
            raise failed()
        return EngineChunk(str(text), reason, counted)
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise failed() from error


def _models(body: bytes) -> tuple[EngineModel, ...]:
    try:
        return _MODELS.validate_python(json.loads(body)["data"])
    except (ValueError, TypeError, LookupError, RecursionError) as error:
        raise unavailable() from error

"""Answers in OpenAI's form: chunks of a stream, and the whole answer at once.

Chunk objects: https://platform.openai.com/docs/api-reference/chat-streaming. With
`continuous_usage_stats` (vLLM's extension) every chunk says how many tokens there are so far.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator
from typing import Any

from b3iq.engine.chat_schema import ChatRequest
from b3iq.engine.errors import Cancelled, EngineError
from b3iq.engine.stream import Delta, TokenStream


class Completion:
    """One answer: what is the same in all of its chunks."""

    def __init__(self, request: ChatRequest, stream: TokenStream) -> None:
        self._stream = stream
        self._options = request.stream_options
        self._head = {
            "id": f"chatcmpl-{secrets.token_hex(16)}",
            "created": int(time.time()),
            "model": request.model,
        }

    def events(self) -> Iterator[bytes]:
        """Server-sent events up to `[DONE]`, or up to an error event when the engine fails."""
        include = self._options is not None and self._options.include_usage
        running = self._options is not None and self._options.continuous_usage_stats
        tokens = 0
        try:
            yield self._chunk({"role": "assistant", "content": ""}, None, 0 if running else None)
            for delta in self._stream:
                tokens = delta.completion_tokens
                content = {"content": delta.text} if delta.text else {}
                if content or delta.finish_reason or running:
                    yield self._chunk(content, delta.finish_reason, tokens if running else None)
        except Cancelled:
            return
        except EngineError as error:
            yield _event({"error": error_object(error)})
            return
        finally:
            # Also when the client's socket broke while a chunk was written to it.
            self._stream.cancel()
        if include:
            yield self._event_of([], tokens)
        yield b"data: [DONE]\n\n"

    def whole(self) -> dict[str, Any]:
        """The answer as one object.

        Raises:
            EngineError: the engine failed, or the client left.
        """
        pieces: list[str] = []
        last: Delta | None = None
        for last in self._stream:
            pieces.append(last.text)
        message = {"role": "assistant", "content": "".join(pieces), "refusal": None}
        reason = last.finish_reason if last else None
        return {
            **self._head,
            "object": "chat.completion",
            "choices": [
                {"index": 0, "message": message, "finish_reason": reason, "logprobs": None}
            ],
            "usage": self._usage(last.completion_tokens if last else 0),
        }

    def _chunk(self, delta: dict[str, Any], reason: str | None, tokens: int | None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": reason, "logprobs": None}
        return self._event_of([choice], tokens)

    def _event_of(self, choices: list[dict[str, Any]], tokens: int | None) -> bytes:
        chunk = {**self._head, "object": "chat.completion.chunk", "choices": choices}
        if tokens is not None:
            chunk["usage"] = self._usage(tokens)
        elif self._options is not None and self._options.include_usage:
            chunk["usage"] = None
        return _event(chunk)

    def _usage(self, tokens: int) -> dict[str, int]:
        prompt = self._stream.prompt_tokens
        return {
            "prompt_tokens": prompt,
            "completion_tokens": tokens,
            "total_tokens": prompt + tokens,
        }


def error_object(error: EngineError) -> dict[str, Any]:
    """OpenAI's error object."""
    return {
        "message": error.message,
        "type": error.type,
        "param": error.param,
        "code": error.code,
    }


def _event(payload: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(payload, separators=(",", ":")).encode() + b"\n\n"

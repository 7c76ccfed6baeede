"""What a chat client reads: the chat.completion object and the events of its stream.

Forms are OpenAI's; `b3iq` is this node's addition, which clients ignore if they do not
know it.
"""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

from b3iq.errors import B3iqError
from b3iq.node.engine_client import Usage
from b3iq.node.problems import openai

DONE = b"data: [DONE]\n\n"


def usage_object(usage: Usage) -> dict[str, int]:
    """Token counts as OpenAI clients read them."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    }


def error_event(error: B3iqError, facts: dict[str, Any]) -> dict[str, Any]:
    """An error that ends an answer whose receipt is sealed.

    The facts stand beside the error, where a stream's other events carry them, and within
    it, since SDKs hand their users only what is within.
    """
    body = openai(error)
    body["error"]["b3iq"] |= facts
    return body | {"b3iq": facts}


class ChatOutput:
    """Builds the objects of one answer, which share an id.

    Args:
        model: the model's id.
        fingerprint: names what made the answer; equal fingerprints and seeds, equal answers.
        with_usage: every event has a `usage` member, null but in the last
            (`stream_options.include_usage`).
    """

    def __init__(self, model: str, fingerprint: str, *, with_usage: bool) -> None:
        self._shared = {
            "id": f"chatcmpl-{uuid.uuid4().hex}",
            "created": int(time.time()),
            "model": model,
            "system_fingerprint": fingerprint,
        }
        self._with_usage = with_usage
        # Encoded once: a text event is on the path of every token.
        # The last one: a model may be named so, too.
        self._before_text, _, self._after_text = (
            self._event(self._chunk({"content": "\0"}, None)).decode().rpartition('"\\u0000"')
        )

    def role(self) -> bytes:
        """The first event of a stream."""
        return self._event(self._chunk({"role": "assistant", "content": ""}, None))

    def text(self, text: str) -> bytes:
        """An event with new text."""
        return (self._before_text + json.dumps(text) + self._after_text).encode()

    def finish(self, reason: str, usage: Usage, facts: dict[str, Any]) -> bytes:
        """The last events: how it ended, the usage if it was asked for, and ``[DONE]``."""
        last = self._chunk({}, reason)
        if not self._with_usage:
            return self._event(last | {"b3iq": facts}) + DONE
        counted = self._chunk({}, None) | {"choices": [], "usage": usage_object(usage)}
        return self._event(last) + self._event(counted | {"b3iq": facts}) + DONE

    def error(self, error: B3iqError, facts: dict[str, Any]) -> bytes:
        """The event that ends a stream which cannot go on."""
        return self._event(error_event(error, facts))

    def completion(
        self, text: str, reason: str, usage: Usage, facts: dict[str, Any]
    ) -> dict[str, Any]:
        """The whole answer as one object."""
        message = {"role": "assistant", "content": text, "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": reason}
        return self._shared | {
            "object": "chat.completion",
            "choices": [choice],
            "usage": usage_object(usage),
            "b3iq": facts,
        }

    def _chunk(self, delta: dict[str, str], reason: str | None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        chunk = self._shared | {"object": "chat.completion.chunk", "choices": [choice]}
        return chunk | {"usage": None} if self._with_usage else chunk

    @staticmethod
    def _event(fields: dict[str, Any]) -> bytes:
        return b"data: " + json.dumps(fields, separators=(",", ":")).encode() + b"\n\n"

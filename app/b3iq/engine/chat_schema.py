"""`POST /v1/chat/completions` as this engine understands it; anything else is refused by name.

The node in front of the engine accepts the harmless hints of OpenAI clients and drops them;
what arrives here is meant.
"""

from __future__ import annotations

import json
from typing import Annotated, Literal

from pydantic import Field, ValidationError, ValidationInfo, field_validator

from b3iq.engine.errors import RequestRefused
from b3iq.engine.sequence import SamplingSettings
from b3iq.schemas import Closed

_TOKENS = Annotated[int, Field(ge=1, le=2**31 - 1)]
_Stop = Annotated[str, Field(min_length=1, max_length=256)]


class TextPart(Closed):
    """One part of a message in parts; only text is known to text models."""

    type: Literal["text"]
    text: str


class Message(Closed):
    """One message; `developer` is OpenAI's newer word for `system`."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[TextPart]
    name: str | None = None

    def as_template(self) -> dict[str, str]:
        """What chat templates expect."""
        parts = self.content
        text = parts if isinstance(parts, str) else "".join(part.text for part in parts)
        return {"role": "system" if self.role == "developer" else self.role, "content": text}


class StreamOptions(Closed):
    """What a stream says about usage; `continuous_usage_stats` is vLLM's extension."""

    include_usage: bool = False
    continuous_usage_stats: bool = False


class ChatRequest(Closed):
    """The body. A null stands for the default, as OpenAI's clients send it."""

    model: str
    messages: Annotated[list[Message], Field(min_length=1, max_length=4096)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: _TOKENS | None = None
    max_completion_tokens: _TOKENS | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=-1, le=2**31 - 1)] | None = None
    seed: Annotated[int, Field(ge=-(2**63), le=2**63 - 1)] | None = None
    stop: _Stop | Annotated[list[_Stop], Field(max_length=4)] | None = None
    n: Literal[1] | None = None

    @field_validator("stream_options")
    @classmethod
    def _only_for_streams(
        cls, value: StreamOptions | None, info: ValidationInfo
    ) -> StreamOptions | None:
        if value is not None and not info.data.get("stream"):
            raise ValueError("only allowed when stream is true")
        return value

    def settings(self) -> SamplingSettings:
        """Sampling settings with the defaults filled in."""
        stop = [self.stop] if isinstance(self.stop, str) else self.stop or []
        limits = [n for n in (self.max_tokens, self.max_completion_tokens) if n is not None]
        return SamplingSettings(
            temperature=1.0 if self.temperature is None else self.temperature,
            top_p=1.0 if self.top_p is None else self.top_p,
            top_k=max(self.top_k or 0, 0),
            seed=self.seed,
            stop=tuple(stop),
            max_tokens=min(limits) if limits else None,
        )


def parse_chat_request(body: bytes) -> ChatRequest:
    """Read and check a request body.

    Raises:
        RequestRefused: naming the parameter; the message never quotes the body.
    """
    try:
        raw = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RequestRefused("The body is not valid JSON.") from error
    if not isinstance(raw, dict):
        raise RequestRefused("The body is not a JSON object.")
    try:
        return ChatRequest.model_validate(raw)
    except ValidationError as error:
        faults = error.errors(include_input=False, include_url=False)
        # Of the branches of a union, the one that came furthest is the one that was meant.
        first = max(
            (fault for fault in faults if fault["loc"][:1] == faults[0]["loc"][:1]),
            key=lambda fault: len(fault["loc"]),
        )
        param = _param(first["loc"])
        if first["type"] == "extra_forbidden":
            raise RequestRefused(f"Unsupported parameter: {param}.", param=param) from error
        raise RequestRefused(f"{param}: {first['msg']}.", param=param) from error


def _param(location: tuple[int | str, ...]) -> str:
    """`messages[0].content`, without the branches of unions that pydantic adds."""
    fields: list[str] = []
    for part in location:
        if isinstance(part, int):
            fields.append(f"[{part}]")
        elif not fields or part in Message.model_fields or part in StreamOptions.model_fields:
            fields.append(f".{part}" if fields else part)
        elif part.isidentifier() and part not in ("str", "float", "int", "TextPart"):
            fields.append(f".{part}")
    return "".join(fields) or "body"

"""The closed schema of POST /v1/chat/completions: what is honoured, tolerated and refused.

Law of this schema: a parameter is honoured, or it is a hint or a neutral value that asks
for nothing (accepted and dropped), or the request is a 400 that names it. Nothing that
would change the answer is ignored in silence. ``null`` always means "not given".
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

_MAX_TOKENS = 10_000_000
_MESSAGES = 4096
_STOPS = 4
_STOP_LENGTH = 256
_METADATA_PAIRS = 16

# Parameters of the OpenAI API that this node does not offer, beyond their neutral values.
UNSUPPORTED: dict[str, tuple[object, ...]] = {
    "audio": (),
    "frequency_penalty": (0, 0.0),
    "function_call": ("none",),
    "functions": ([],),
    "logit_bias": ({},),
    "logprobs": (False,),
    "modalities": (["text"],),
    "moderation": (),
    "n": (1,),
    "prediction": (),
    "presence_penalty": (0, 0.0),
    "prompt_cache_retention": (),
    "reasoning_effort": (),
    "response_format": ({"type": "text"},),
    "service_tier": ("auto", "default"),
    "store": (False,),
    "tool_choice": ("none",),
    "tools": ([],),
    "top_logprobs": (0,),
    "verbosity": (),
    "web_search_options": (),
}


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, value: object) -> object:
        if not isinstance(value, dict):
            return value
        given = {name: item for name, item in value.items() if item is not None}
        # Here and not by pydantic, which would list each of a hundred thousand.
        for name in given:
            if name not in cls.model_fields:
                raise PydanticCustomError("unknown_name", "is not known", {"name": name})
        return given


class Message(_Closed):
    """One message; content parts of type ``text`` are joined into one string."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str

    @field_validator("content", mode="before")
    @classmethod
    def _join_parts(cls, value: object) -> object:
        if not isinstance(value, list):
            return value
        if not value:
            raise PydanticCustomError("empty_array", "must not be an empty list")
        return "".join(_text_of(position, part) for position, part in enumerate(value))


class StreamOptions(_Closed):
    """What a stream tells besides its text."""

    include_usage: bool = False
    # Padding against traffic analysis; on a loopback or TLS listener there is none to add.
    include_obfuscation: bool = False


class ChatRequest(_Closed):
    """A request as the client may put it; `engine_request` is what the engine is asked."""

    model: Annotated[str, Field(min_length=1, max_length=256)]
    messages: Annotated[list[Message], Field(min_length=1, max_length=_MESSAGES)]
    stream: bool = False
    stream_options: StreamOptions | None = None
    max_tokens: Annotated[int, Field(ge=1, le=_MAX_TOKENS)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1, le=_MAX_TOKENS)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] | None = None
    # vLLM's extension; -1 and 0 mean every token, as there.
    top_k: Annotated[int, Field(ge=-1, le=1_000_000)] | None = None
    seed: Annotated[int, Field(ge=-(2**63), le=2**63 - 1)] | None = None
    stop: (
        Annotated[
            list[Annotated[str, Field(min_length=1, max_length=_STOP_LENGTH)]],
            Field(min_length=1, max_length=_STOPS),
        ]
        | None
    ) = None

    # Hints: they describe the client to a hosted service and change no answer.
    user: str | None = None
    metadata: dict[str, str] | None = None
    parallel_tool_calls: bool | None = None
    prompt_cache_key: str | None = None
    safety_identifier: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _drop_neutral(cls, value: object) -> object:
        if not isinstance(value, dict):
            return value
        return {
            name: item
            for name, item in value.items()
            if name not in UNSUPPORTED or not _is_neutral(name, item)
        }

    @field_validator("stop", mode="before")
    @classmethod
    def _one_stop(cls, value: object) -> object:
        return [value] if isinstance(value, str) else value

    @field_validator("metadata", mode="before")
    @classmethod
    def _few_pairs(cls, value: object) -> object:
        if isinstance(value, dict) and len(value) > _METADATA_PAIRS:
            raise PydanticCustomError(
                "too_many_pairs", f"must have at most {_METADATA_PAIRS} members"
            )
        return value

    @model_validator(mode="after")
    def _options_need_a_stream(self) -> ChatRequest:
        if self.stream_options is not None and not self.stream:
            raise PydanticCustomError(
                "stream_options", "stream_options is only allowed when stream is true"
            )
        return self

    @property
    def wants_usage(self) -> bool:
        """Whether a stream ends with a chunk that carries the usage."""
        return self.stream_options is not None and self.stream_options.include_usage

    def engine_request(self) -> dict[str, Any]:
        """The request in the engine's terms: only what is honoured, hints left out."""
        request: dict[str, Any] = {
            "model": self.model,
            "messages": [
                # Chat templates know `system`; `developer` is OpenAI's newer name for it.
                {
                    "role": "system" if message.role == "developer" else message.role,
                    "content": message.content,
                }
                for message in self.messages
            ],
        }
        limit = self.max_completion_tokens or self.max_tokens
        given = {
            "max_completion_tokens": limit,
            "temperature": self.temperature,
            "top_p": self.top_p,
            "top_k": self.top_k if self.top_k and self.top_k > 0 else None,
            "seed": self.seed,
            "stop": self.stop,
        }
        request.update({name: value for name, value in given.items() if value is not None})
        return request


def is_known_but_unsupported(name: str) -> bool:
    """Whether `name` is a parameter of the OpenAI API that this node does not offer."""
    return name in UNSUPPORTED


def neutral_values(name: str) -> tuple[object, ...]:
    """The values of an unsupported parameter that ask for nothing."""
    return UNSUPPORTED[name]


def _is_neutral(name: str, value: object) -> bool:
    # True == 1 and False == 0 in Python, not in JSON.
    return any(
        value == neutral and isinstance(value, bool) == isinstance(neutral, bool)
        for neutral in UNSUPPORTED[name]
    )


def _text_of(position: int, part: object) -> str:
    if not isinstance(part, dict) or not isinstance(part.get("type"), str):
        raise PydanticCustomError(
            "content_part", "must be an object with a type", {"at": f"[{position}]"}
        )
    if part["type"] != "text":
        raise PydanticCustomError(
            "unsupported_part",
            "has a type that is not supported; only text parts are",
            {"at": f"[{position}].type"},
        )
    if not isinstance(part.get("text"), str):
        raise PydanticCustomError("content_part", "must be a string", {"at": f"[{position}].text"})
    for name, value in part.items():
        if name not in {"type", "text"} and value is not None:
            raise PydanticCustomError(
                "unsupported_part", "is not supported", {"at": f"[{position}].{name}"}
            )
    return str(part["text"])

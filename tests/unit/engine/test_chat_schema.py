from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from b3iq.engine.chat_schema import parse_chat_request
from b3iq.engine.errors import RequestRefused

BASE: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "secret words"}]}


def parse(**changes: Any) -> Any:
    return parse_chat_request(json.dumps(BASE | changes).encode())


def test_the_defaults_are_openais() -> None:
    settings = parse().settings()
    assert (settings.temperature, settings.top_p, settings.top_k) == (1.0, 1.0, 0)
    assert (settings.seed, settings.stop, settings.max_tokens) == (None, (), None)


def test_every_supported_parameter_reaches_the_settings() -> None:
    settings = parse(
        temperature=0, top_p=0.5, top_k=7, seed=-3, stop=["a", "b"], max_completion_tokens=9, n=1
    ).settings()
    assert (settings.temperature, settings.top_p, settings.top_k) == (0.0, 0.5, 7)
    assert (settings.seed, settings.stop, settings.max_tokens) == (-3, ("a", "b"), 9)


def test_nulls_stand_for_defaults() -> None:
    names = ("temperature", "top_p", "top_k", "seed", "stop", "max_tokens", "stream", "n")
    assert parse(**dict.fromkeys(names)).settings() == parse().settings()


def test_top_k_minus_one_keeps_all_as_in_vllm() -> None:
    assert parse(top_k=-1).settings().top_k == 0


def test_a_message_in_text_parts_is_their_text() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    asked = parse(messages=[{"role": "developer", "content": parts}])
    assert asked.messages[0].as_template() == {"role": "system", "content": "ab"}


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown parameter": ({"best_of": 2}, "best_of"),
    "log probabilities": ({"logprobs": True}, "logprobs"),
    "tools": ({"tools": []}, "tools"),
    "two answers": ({"n": 2}, "n"),
    "negative temperature": ({"temperature": -0.1}, "temperature"),
    "temperature beyond reason": ({"temperature": 1e9}, "temperature"),
    "temperature as text": ({"temperature": "0"}, "temperature"),
    "top_p of zero": ({"top_p": 0}, "top_p"),
    "top_p above one": ({"top_p": 1.01}, "top_p"),
    "top_k below minus one": ({"top_k": -2}, "top_k"),
    "no tokens": ({"max_tokens": 0}, "max_tokens"),
    "absurdly many tokens": ({"max_tokens": 10**30}, "max_tokens"),
    "half a token": ({"max_completion_tokens": 1.5}, "max_completion_tokens"),
    "a seed beyond 64 bits": ({"seed": 2**63}, "seed"),
    "a boolean seed": ({"seed": True}, "seed"),
    "five stop strings": ({"stop": ["a", "b", "c", "d", "e"]}, "stop"),
    "an empty stop string": ({"stop": ""}, "stop"),
    "an empty stop string in a list": ({"stop": ["a", ""]}, "stop[1]"),
    "no messages": ({"messages": []}, "messages"),
    "messages as text": ({"messages": "hi"}, "messages"),
    "an unknown role": ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role"),
    "no content": ({"messages": [{"role": "user", "content": None}]}, "messages[0].content"),
    "an image": (
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]},
        "messages[0].content",
    ),
    "stream options without a stream": ({"stream_options": {}}, "stream_options"),
    "an unknown stream option": (
        {"stream": True, "stream_options": {"obfuscate": True}},
        "stream_options.obfuscate",
    ),
    "a model that is no name": ({"model": 7}, "model"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_supported_is_refused_by_name_without_quoting_the_prompt(case: str) -> None:
    changes, param = REFUSED[case]
    with pytest.raises(RequestRefused) as refused:
        parse(**changes)
    assert refused.value.status == 400
    assert refused.value.param == param or str(refused.value.param).startswith(param)
    assert "secret" not in refused.value.message


@pytest.mark.parametrize("name", ["model", "messages"])
def test_a_missing_parameter_is_named(name: str) -> None:
    body = {key: value for key, value in BASE.items() if key != name}
    with pytest.raises(RequestRefused) as refused:
        parse_chat_request(json.dumps(body).encode())
    assert refused.value.param == name


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 100_000, b'{"model": NaN', b'"text"']
)
def test_a_body_that_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(RequestRefused):
        parse_chat_request(body)


@given(st.binary(max_size=200))
def test_no_bytes_at_all_raise_anything_else(body: bytes) -> None:
    with pytest.raises(RequestRefused):
        parse_chat_request(body)

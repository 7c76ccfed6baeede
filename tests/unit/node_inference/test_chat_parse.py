from __future__ import annotations

import json
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from b3iq.node.chat_parse import InvalidRequest, parse
from b3iq.node.chat_schema import ChatRequest

CANARY = "canary-5f0c"
BODY = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


def parsed(**change):
    return parse(json.dumps(BODY | change).encode())


def refused(**change):
    with pytest.raises(InvalidRequest) as caught:
        parsed(**change)
    assert caught.value.status == 400
    return caught.value


def test_only_what_is_honoured_reaches_the_engine():
    asked = parsed(
        user="u",
        metadata={"a": "b"},
        store=False,
        n=1,
        tools=None,
        stream=True,
        stream_options={"include_usage": True},
        max_tokens=9,
        temperature=0,
        top_p=0.5,
        top_k=3,
        seed=-4,
        stop="END",
    )
    assert asked.engine_request() == BODY | {
        "max_completion_tokens": 9,
        "temperature": 0,
        "top_p": 0.5,
        "top_k": 3,
        "seed": -4,
        "stop": ["END"],
    }
    assert asked.wants_usage


def test_the_newer_name_of_a_limit_wins_over_the_older():
    assert parsed(max_tokens=9, max_completion_tokens=5).engine_request() == BODY | {
        "max_completion_tokens": 5
    }


def test_a_developer_speaks_as_the_system():
    messages = [{"role": "developer", "content": "be brief"}, *BODY["messages"]]
    assert parsed(messages=messages).engine_request()["messages"][0]["role"] == "system"


@pytest.mark.parametrize("value", [-1, 0, None])
def test_a_top_k_of_every_token_is_none(value):
    assert "top_k" not in parsed(top_k=value).engine_request()


@given(name=st.text(string.ascii_lowercase + "_", min_size=1, max_size=30), value=st.integers())
def test_a_parameter_that_is_not_in_the_schema_is_never_ignored(name, value):
    if name in ChatRequest.model_fields:
        return
    asks_for_nothing = {
        ("n", 1),
        ("top_logprobs", 0),
        ("frequency_penalty", 0),
        ("presence_penalty", 0),
    }
    if (name, value) in asks_for_nothing:
        parsed(**{name: value})
        return
    error = refused(**{name: value})
    assert error.param == name
    assert error.code in {"unknown_parameter", "unsupported_parameter"}


@pytest.mark.parametrize(
    "change",
    [
        {"messages": [{"role": CANARY, "content": CANARY}]},
        {"messages": [{"role": "user", "content": [{"type": CANARY, "text": CANARY}]}]},
        {"messages": [{"role": "user", "content": {"text": CANARY}}]},
        {"temperature": CANARY},
        {"stop": {"at": CANARY}},
        {"tools": [CANARY]},
        {"response_format": {"type": CANARY}},
        {"model": [CANARY]},
    ],
)
def test_a_refusal_never_quotes_what_was_sent(change):
    assert CANARY not in refused(**change).message


def test_a_refused_name_is_repeated_only_in_part():
    assert len(refused(**{"x" * 5000: 1}).message) < 300


def test_codes_are_those_of_the_openai_api():
    assert refused(messages=None).code == "missing_required_parameter"
    assert refused(messages=[]).code == "array_below_min_length"
    assert refused(temperature=3).code == "number_above_max_value"
    assert refused(seed="1").code == "invalid_type"
    assert refused(n=2).code == "unsupported_parameter"
    assert refused(nn=2).code == "unknown_parameter"


@given(st.binary(max_size=200))
def test_no_bytes_break_the_parser(data):
    with pytest.raises(InvalidRequest):
        parse(data)


MANY = {f"field{number}": 1 for number in range(10_000)}
MESSAGE = {"role": "user", "content": "x"}
COSTLY = {
    "names at the top": ({"messages": [MESSAGE], **MANY}, "field0"),
    "names in a message": ({"messages": [MESSAGE | MANY]}, "messages[0].field0"),
    "wrong metadata": ({"messages": [MESSAGE], "metadata": MANY}, "metadata"),
    "wrong messages": ({"messages": [MESSAGE | {"x": 1}] * 4096}, "messages[0].x"),
    "a long name": ({"messages": [MESSAGE], "metadata": {"n" * 9999: 1}}, "metadata." + "n" * 91),
}


@pytest.mark.parametrize(("body", "param"), COSTLY.values(), ids=COSTLY.keys())
def test_many_faults_are_neither_listed_nor_echoed(body, param):
    asked = {"model": "m", **body}
    with pytest.raises(ValidationError) as collected:
        ChatRequest.model_validate(asked)
    assert collected.value.error_count() <= 4096  # as many as there may be messages
    with pytest.raises(InvalidRequest) as caught:
        parse(json.dumps(asked).encode())
    assert caught.value.param == param
    assert len(caught.value.message) < 300

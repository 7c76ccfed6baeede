from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from b3iq.node.chat_output import DONE, ChatOutput
from b3iq.node.engine_client import Usage
from b3iq.node.engine_errors import EngineFailed

FACTS = {"receipt_hash": "ab" * 32}


def events(data: bytes) -> list:
    assert data.endswith(b"\n\n")
    return [json.loads(line[6:]) for line in data.split(b"\n\n") if line and line != DONE.strip()]


@given(text=st.text(), model=st.text(min_size=1))
def test_text_survives_its_encoding_whatever_it_is(text, model):
    for with_usage in (False, True):
        output = ChatOutput(model, "f", with_usage=with_usage)
        (event,) = events(output.text(text))
        assert event["choices"][0]["delta"] == {"content": text}
        assert event["model"] == model
        assert event == events(output.role())[0] | {"choices": event["choices"]}
        assert ("usage" in event) == with_usage


def test_the_facts_ride_on_the_chunk_that_ends_the_answer():
    output = ChatOutput("m", "f", with_usage=False)
    data = output.finish("stop", Usage(5, 2), FACTS)
    (last,) = events(data)
    assert last["choices"][0] == {
        "index": 0,
        "delta": {},
        "logprobs": None,
        "finish_reason": "stop",
    }
    assert last["b3iq"] == FACTS
    assert data.endswith(DONE)


def test_the_facts_ride_on_the_usage_chunk_where_one_was_asked_for():
    finish, usage = events(
        ChatOutput("m", "f", with_usage=True).finish("length", Usage(5, 2), FACTS)
    )
    assert finish["choices"][0]["finish_reason"] == "length"
    assert finish["usage"] is None
    assert "b3iq" not in finish
    assert usage["choices"] == []
    assert usage["usage"] == {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
    assert usage["b3iq"] == FACTS


def test_an_error_event_carries_the_facts_within_and_beside():
    (event,) = events(
        ChatOutput("m", "f", with_usage=False).error(EngineFailed("It broke."), FACTS)
    )
    assert event["b3iq"] == FACTS
    assert event["error"]["b3iq"]["receipt_hash"] == FACTS["receipt_hash"]
    assert event["error"]["b3iq"]["code"] == "engine_failed"
    assert event["error"]["type"] == "api_error"
    assert event["error"]["param"] is None

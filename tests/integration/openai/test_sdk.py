"""The official SDK, unchanged but for its base URL and key, gets what it expects."""

from __future__ import annotations

import re

from openai import OpenAI

from tests.integration.openai.served import Served

HELLO = [{"role": "user", "content": "hello"}]
SHA256 = re.compile("[0-9a-f]{64}")


def ask(client: OpenAI, served: Served, **more):
    settings = {"messages": HELLO, "temperature": 0, "max_tokens": 24} | more
    return client.chat.completions.create(model=served.model, **settings)


def test_the_models_are_listed_with_the_digest_of_their_weights(client, served):
    models = client.models.list().data
    assert [model.id for model in models] == [served.model]
    assert models[0].object == "model"
    assert SHA256.fullmatch(models[0].weights_sha256)
    assert models[0].max_model_len > 0


def test_a_chat_is_answered_with_its_usage_and_its_receipt(client, served):
    answer = ask(client, served)
    assert answer.object == "chat.completion"
    assert answer.choices[0].message.role == "assistant"
    assert answer.choices[0].finish_reason in {"stop", "length"}
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    receipt = served.receipt(answer.b3iq["receipt_hash"])
    assert receipt["status"] == "completed"
    assert receipt["usage"] == {
        name: getattr(answer.usage, name)
        for name in ("prompt_tokens", "completion_tokens", "total_tokens")
    }
    assert receipt["model_digest"] == client.models.list().data[0].weights_sha256
    assert answer.b3iq["runtime_kind"] == "pytorch"
    assert answer.b3iq["runtime_id"] == f"pytorch-{receipt['model_digest'][:12]}"
    assert answer.b3iq["ttft_ms"] <= answer.b3iq["latency_ms"]


def test_a_stream_says_the_same_as_a_whole_answer(client, served):
    chunks = list(ask(client, served, stream=True))
    whole = ask(client, served)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert text == whole.choices[0].message.content
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].finish_reason for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert chunks[-1].choices[0].finish_reason == whole.choices[0].finish_reason
    assert len({chunk.id for chunk in chunks}) == 1


def test_the_receipt_of_a_stream_rides_on_the_chunk_that_ends_it(client, served):
    chunks = list(ask(client, served, stream=True))
    assert SHA256.fullmatch(chunks[-1].b3iq["receipt_hash"])
    assert not any(hasattr(chunk, "b3iq") for chunk in chunks[:-1])
    assert not any(chunk.usage for chunk in chunks)


def test_a_stream_ends_with_its_usage_where_it_was_asked_for(client, served):
    chunks = list(ask(client, served, stream=True, stream_options={"include_usage": True}))
    *others, last = chunks
    assert last.choices == []
    assert not any(chunk.usage for chunk in others)
    assert others[-1].choices[0].finish_reason is not None
    receipt = served.receipt(last.b3iq["receipt_hash"])
    assert receipt["usage"]["completion_tokens"] == last.usage.completion_tokens > 0
    assert receipt["usage"]["prompt_tokens"] == last.usage.prompt_tokens > 0


def test_max_tokens_cuts_the_answer_and_says_so(client, served):
    for name in ("max_tokens", "max_completion_tokens"):
        answer = client.chat.completions.create(
            model=served.model, messages=HELLO, temperature=0, **{name: 2}
        )
        assert answer.usage.completion_tokens == 2
        assert answer.choices[0].finish_reason == "length"


def test_a_stop_string_ends_the_answer_and_is_not_in_it(client, served):
    text = ask(client, served).choices[0].message.content
    middle = text[len(text) // 2]
    for stop in (middle, [middle, "\u0001never"]):
        answer = ask(client, served, stop=stop)
        assert answer.choices[0].message.content == text[: text.index(middle)]
        assert answer.choices[0].finish_reason == "stop"


def test_equal_seeds_give_equal_answers(client, served):
    def sample(seed: int) -> str:
        answer = ask(client, served, temperature=2.0, seed=seed, max_tokens=16)
        return str(answer.choices[0].message.content)

    assert sample(7) == sample(7)
    assert len({sample(seed) for seed in range(8)}) > 1


def test_text_parts_are_one_text(client, served):
    parts = [{"type": "text", "text": "hel"}, {"type": "text", "text": "lo"}]
    in_parts = ask(client, served, messages=[{"role": "user", "content": parts}])
    assert in_parts.choices[0].message.content == ask(client, served).choices[0].message.content


def test_hints_and_neutral_values_change_nothing(client, served):
    plain = ask(client, served)
    hinted = ask(
        client,
        served,
        user="someone",
        metadata={"team": "a"},
        store=False,
        service_tier="auto",
        parallel_tool_calls=True,
        prompt_cache_key="k",
        safety_identifier="s",
        n=1,
        presence_penalty=0,
        frequency_penalty=0,
        response_format={"type": "text"},
        logprobs=False,
        top_p=1,
        extra_body={"top_k": 0},
    )
    assert hinted.choices[0].message.content == plain.choices[0].message.content


def test_an_answer_can_be_sent_back_as_the_sdk_gives_it(client, served):
    first = ask(client, served).choices[0].message
    follow_up = [*HELLO, first.model_dump(), {"role": "user", "content": "again"}]
    assert ask(client, served, messages=follow_up).choices[0].finish_reason is not None


def test_every_answer_has_a_request_id(client, served):
    raw = client.chat.completions.with_raw_response.create(
        model=served.model, messages=HELLO, max_tokens=1
    )
    assert raw.headers["x-request-id"]
    assert raw.http_response.headers["content-type"] == "application/json"

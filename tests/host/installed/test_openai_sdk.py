"""The official OpenAI SDK, unmodified, against the host through an SSH forward."""

from __future__ import annotations

import openai
import pytest

from tests.host.installed.conftest import Node

MODEL = "b3iq-smoke"
HELLO = [{"role": "user", "content": "Hello!"}]


def ask(node: Node, **changes: object) -> object:
    body = {"model": MODEL, "messages": HELLO, "max_tokens": 24, "temperature": 0, **changes}
    return node.client().chat.completions.create(**body)


def test_the_model_is_listed_with_the_digest_of_its_weights(node: Node) -> None:
    models = node.client().models.list().data
    assert [model.id for model in models] == [MODEL]
    assert len((models[0].model_extra or {})["weights_sha256"]) == 64


def test_a_chat_is_answered_with_usage_and_a_signed_receipt(node: Node) -> None:
    answer = ask(node)
    assert answer.choices[0].message.content
    assert answer.choices[0].finish_reason in {"stop", "length"}
    usage = answer.usage
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    receipt = node.receipt(answer.model_extra["b3iq"]["receipt_hash"])
    assert receipt["status"] == "completed"
    assert receipt["usage"]["completion_tokens"] == usage.completion_tokens
    node.host.run("b3iq receipts --verify --limit 500")


def test_a_stream_says_the_same_and_ends_with_the_usage(node: Node) -> None:
    whole = ask(node)
    chunks = list(ask(node, stream=True, stream_options={"include_usage": True}))
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == whole.choices[0].message.content
    assert [c.usage for c in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens
    assert chunks[-1].choices == []
    assert len(chunks[-1].model_extra["b3iq"]["receipt_hash"]) == 64


def test_a_stop_text_ends_the_answer_before_it(node: Node) -> None:
    whole = ask(node).choices[0].message.content
    stop = whole[len(whole) // 2 :][:3]
    answer = ask(node, stop=[stop])
    assert answer.choices[0].finish_reason == "stop"
    assert answer.choices[0].message.content == whole[: whole.index(stop)]


def test_a_seed_repeats_a_sampled_answer(node: Node) -> None:
    sampled = {"temperature": 2.0, "max_tokens": 32}
    one, same = (ask(node, seed=7, **sampled).choices[0].message.content for _ in range(2))
    others = {ask(node, seed=n, **sampled).choices[0].message.content for n in range(8, 14)}
    assert one == same
    assert others != {one}


@pytest.mark.parametrize(
    ("changes", "kind", "param"),
    [
        ({"model": "gpt-nothing"}, openai.NotFoundError, "model"),
        ({"n": 2}, openai.BadRequestError, "n"),
        ({"temperature": 9}, openai.BadRequestError, "temperature"),
        (
            {"messages": [{"role": "user", "content": "much " * 9000}]},
            openai.BadRequestError,
            "messages",
        ),
        ({"extra_body": {"no_such_parameter": 1}}, openai.BadRequestError, "no_such_parameter"),
    ],
)
def test_a_bad_request_names_the_parameter(
    node: Node, changes: dict[str, object], kind: type[openai.APIStatusError], param: str
) -> None:
    with pytest.raises(kind) as raised:
        ask(node, **changes)
    assert raised.value.param == param


@pytest.mark.parametrize("key", ["b3iq_local_nothing", "b3iq_gateway_abc", "sk-whatever"])
def test_a_bad_or_foreign_key_is_refused(node: Node, key: str) -> None:
    with pytest.raises(openai.AuthenticationError):
        node.client(key).models.list()

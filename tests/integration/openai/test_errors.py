"""Bad input gets the OpenAI error form, the right status and the name of the parameter."""

from __future__ import annotations

import json

import httpx
import openai
import pytest

from tests.integration.openai.served import Served

HELLO = [{"role": "user", "content": "hello"}]


def post(served: Served, content: bytes, **headers: str) -> httpx.Response:
    return httpx.post(
        f"{served.base_url}/v1/chat/completions",
        content=content,
        headers={
            "Authorization": f"Bearer {served.key}",
            "Content-Type": "application/json",
            **headers,
        },
        trust_env=False,
    )


def assert_openai_form(answer: httpx.Response, kind: str) -> dict:
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code", "b3iq"}
    assert set(error["b3iq"]) == {"status", "title", "detail", "code"}
    assert error["type"] == kind
    assert isinstance(error["code"], str)
    assert error["b3iq"]["status"] == answer.status_code
    assert answer.headers["x-request-id"]
    return dict(error)


BAD = {
    "the model is missing": ({"messages": HELLO}, "model"),
    "the model is a number": ({"model": 1, "messages": HELLO}, "model"),
    "there are no messages": ({"messages": []}, "messages"),
    "the messages are a string": ({"messages": "hello"}, "messages"),
    "a message is a string": ({"messages": ["hello"]}, "messages[0]"),
    "a role is unknown": ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role"),
    "a content is missing": ({"messages": [{"role": "user"}]}, "messages[0].content"),
    "a content is a number": (
        {"messages": [{"role": "user", "content": 5}]},
        "messages[0].content",
    ),
    "a part is an image": (
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]},
        "messages[0].content[0].type",
    ),
    "a message has tool calls": (
        {"messages": [{"role": "assistant", "content": "x", "tool_calls": [{}]}]},
        "messages[0].tool_calls",
    ),
    "tools are given": ({"tools": [{"type": "function"}]}, "tools"),
    "tool_choice is forced": ({"tool_choice": "required"}, "tool_choice"),
    "two answers are wanted": ({"n": 2}, "n"),
    "true is not one": ({"n": True}, "n"),
    "log probabilities are wanted": ({"logprobs": True}, "logprobs"),
    "top log probabilities are wanted": ({"top_logprobs": 5}, "top_logprobs"),
    "a penalty is given": ({"presence_penalty": 0.5}, "presence_penalty"),
    "JSON is wanted": ({"response_format": {"type": "json_object"}}, "response_format"),
    "storing is wanted": ({"store": True}, "store"),
    "a bias is given": ({"logit_bias": {"1": 2}}, "logit_bias"),
    "audio is wanted": ({"modalities": ["text", "audio"]}, "modalities"),
    "a parameter is misspelled": ({"temprature": 0}, "temprature"),
    "the temperature is text": ({"temperature": "hot"}, "temperature"),
    "the temperature is 99": ({"temperature": 99}, "temperature"),
    "top_p is zero": ({"top_p": 0}, "top_p"),
    "max_tokens is zero": ({"max_tokens": 0}, "max_tokens"),
    "max_tokens is a string": ({"max_tokens": "5"}, "max_tokens"),
    "max_tokens is beyond reason": ({"max_tokens": 10**30}, "max_tokens"),
    "the seed is a fraction": ({"seed": 0.5}, "seed"),
    "five stops are given": ({"stop": ["a", "b", "c", "d", "e"]}, "stop"),
    "a stop is empty": ({"stop": [""]}, "stop[0]"),
    "stream is a word": ({"stream": "yes"}, "stream"),
    "options without a stream": ({"stream_options": {"include_usage": True}}, "stream_options"),
}


@pytest.mark.parametrize(("change", "param"), BAD.values(), ids=BAD.keys())
def test_a_400_names_the_parameter_when(served, change, param):
    body = {"model": served.model, "messages": HELLO} | change
    if param == "model" and "model" not in change:
        del body["model"]
    answer = post(served, json.dumps(body).encode())
    assert answer.status_code == 400
    assert assert_openai_form(answer, "invalid_request_error")["param"] == param


@pytest.mark.parametrize(
    "content",
    [b"{", b"", b"\xff\xfe{}", b"[" * 100_000, b'{"model": NaN}', b'"text"', b'{"a":"\\ud800"}'],
)
def test_what_is_not_json_is_a_400(served, content):
    answer = post(served, content)
    assert answer.status_code == 400
    assert assert_openai_form(answer, "invalid_request_error")["code"] == "invalid_json"


def test_a_body_of_another_type_is_a_415(served):
    answer = post(served, b"{}", **{"Content-Type": "text/plain"})
    assert answer.status_code == 415
    assert_openai_form(answer, "invalid_request_error")


def test_a_body_over_the_limit_is_a_413(served):
    answer = post(served, b'{"user": "' + b"a" * 5 * 1024 * 1024 + b'"}')
    assert answer.status_code == 413
    assert_openai_form(answer, "invalid_request_error")


def test_an_unknown_model_is_a_404(served):
    with pytest.raises(openai.NotFoundError) as caught:
        served.client().chat.completions.create(model="gpt-none", messages=HELLO)
    assert caught.value.code == "model_not_found"
    assert caught.value.param == "model"


def test_a_prompt_longer_than_the_context_is_a_400_and_leaves_no_receipt(served):
    before = served.admin.get("/admin/status")["receipts"]
    long = [{"role": "user", "content": "many words, " * 20_000}]
    with pytest.raises(openai.BadRequestError) as caught:
        served.client().chat.completions.create(model=served.model, messages=long)
    assert caught.value.code == "context_length_exceeded"
    assert caught.value.param == "messages"
    assert "many words" not in str(caught.value)
    assert served.admin.get("/admin/status")["receipts"] == before


@pytest.mark.parametrize("key", ["nonsense", "b3iq_local_aaaaaaaaaaaa_" + "a" * 40])
def test_a_key_that_is_none_is_a_401(served, key):
    with pytest.raises(openai.AuthenticationError) as caught:
        served.client(key).models.list()
    assert caught.value.code == "unauthorized"


def test_a_request_without_a_key_is_a_401(served):
    answer = httpx.get(f"{served.base_url}/v1/models", trust_env=False)
    assert answer.status_code == 401
    assert_openai_form(answer, "authentication_error")


def test_a_gateway_key_is_refused_with_the_reason_and_is_in_no_log(served):
    from b3iq.credentials import tokens

    gateway = tokens.mint("gateway").text
    with pytest.raises(openai.AuthenticationError) as caught:
        served.client(gateway).models.list()
    assert "gateway" in caught.value.message
    assert gateway not in str(caught.value)
    logs = "".join(path.read_text() for path in (served.state / "log").iterdir())
    assert gateway not in logs
    assert gateway.split("_")[3] not in logs


def test_a_revoked_key_is_refused_on_the_next_request(served):
    key_id, secret = served.new_key()
    client = served.client(secret)
    client.models.list()
    served.admin.post(f"/admin/keys/{key_id}/revoke")
    with pytest.raises(openai.AuthenticationError):
        client.models.list()


def test_a_key_for_metrics_does_not_open_inference(served):
    _, secret = served.new_key(scopes=["metrics"])
    with pytest.raises(openai.PermissionDeniedError):
        served.client(secret).chat.completions.create(model=served.model, messages=HELLO)


def test_an_unknown_host_is_misdirected_even_with_a_valid_key(served):
    answer = httpx.get(
        f"{served.base_url}/v1/models",
        headers={"Host": "evil.example", "Authorization": f"Bearer {served.key}"},
        trust_env=False,
    )
    assert answer.status_code == 421

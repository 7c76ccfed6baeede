from __future__ import annotations

import json
import stat
from typing import Any

import httpx
import pytest

from b3iq.models.manifest import manifest_digest, read_manifest

from .conftest import EngineProcess, body, connect, eventually, send

STREAM = {"stream": True, "stream_options": {"include_usage": True}}
CONTINUOUS = {
    "stream": True,
    "stream_options": {"include_usage": True, "continuous_usage_stats": True},
}
# The model never ends a greedy answer.
ENDLESS = {"max_tokens": 4000, "temperature": 0, "stream": True}


def events(response: httpx.Response) -> list[dict[str, Any]]:
    lines = [line for line in response.text.split("\n\n") if line]
    assert lines[-1] == "data: [DONE]"
    return [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]


def text(chunks: list[dict[str, Any]]) -> str:
    return "".join(
        choice["delta"].get("content", "") for chunk in chunks for choice in chunk["choices"]
    )


def test_models_shows_the_digests_of_what_is_served(engine: EngineProcess, tiny_source) -> None:
    (model,) = engine.get("/v1/models").json()["data"]
    manifest = read_manifest(tiny_source)
    assert model.pop("created") > 1_700_000_000
    assert model == {
        "id": "tiny",
        "object": "model",
        "owned_by": "b3iq",
        "max_model_len": 4096,
        "weights_sha256": manifest.weights_sha256,
        "manifest_sha256": manifest_digest(tiny_source),
    }


def test_the_socket_is_for_its_owner_and_group(engine: EngineProcess) -> None:
    assert stat.S_IMODE(engine.socket.stat().st_mode) == 0o660


def test_a_whole_answer_and_a_streamed_one_say_the_same(engine: EngineProcess) -> None:
    whole = engine.chat().json()
    chunks = events(engine.chat(**STREAM))
    assert whole["object"] == "chat.completion"
    assert whole["choices"][0]["message"]["content"] == text(chunks)
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert [c["choices"][0]["finish_reason"] for c in chunks if c["choices"]][-1] == "length"
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"] == whole["usage"]
    usage = whole["usage"]
    assert usage["completion_tokens"] == 8
    assert usage["total_tokens"] == usage["prompt_tokens"] + 8
    assert all(chunk["usage"] is None for chunk in chunks[:-1])


def test_without_stream_options_no_chunk_speaks_of_usage(engine: EngineProcess) -> None:
    assert not any("usage" in chunk for chunk in events(engine.chat(stream=True)))


def test_continuous_usage_counts_up_in_every_chunk(engine: EngineProcess) -> None:
    counts = [chunk["usage"]["completion_tokens"] for chunk in events(engine.chat(**CONTINUOUS))]
    assert counts == sorted(counts)
    assert (counts[0], counts[-1]) == (0, 8)


def test_a_stop_string_is_not_in_the_answer(engine: EngineProcess) -> None:
    whole = engine.chat(max_tokens=40).json()["choices"][0]["message"]["content"]
    stop = whole[12:15]
    answer = engine.chat(max_tokens=40, stop=stop).json()["choices"][0]
    assert answer["message"]["content"] == whole[: whole.index(stop)]
    assert answer["finish_reason"] == "stop"


def test_a_seed_repeats_its_answer(engine: EngineProcess) -> None:
    asked = {"temperature": 1.0, "seed": 5, "max_tokens": 30}
    first, second, other = (
        engine.chat(**asked | {"seed": seed}).json()["choices"][0]["message"]["content"]
        for seed in (5, 5, 6)
    )
    assert first == second != other


REFUSED: dict[str, tuple[dict[str, Any], int, str | None, str]] = {
    "unknown model": ({"model": "gpt-4"}, 404, "model", "model_not_found"),
    "unknown parameter": ({"logit_bias": {}}, 400, "logit_bias", "invalid_request"),
    "absurd parameter": ({"temperature": 99}, 400, "temperature", "invalid_request"),
    "prompt beyond the context": (
        {"messages": [{"role": "user", "content": "word " * 9000}]},
        400,
        "messages",
        "context_length_exceeded",
    ),
    "template refuses": (
        {"messages": [{"role": "user", "content": "a"}, {"role": "system", "content": "b"}]},
        400,
        "messages",
        "invalid_request",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("stream", [False, True])
def test_what_cannot_be_served_is_an_openai_error(
    engine: EngineProcess, case: str, stream: bool
) -> None:
    changes, status, param, code = REFUSED[case]
    response = engine.chat(stream=stream, **changes)
    error = response.json()["error"]
    assert response.status_code == status
    assert (error["param"], error["code"]) == (param, code)
    assert set(error) == {"message", "type", "param", "code"}


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff\xfe", b"[" * 50_000])
def test_malformed_json_is_a_400(engine: EngineProcess, content: bytes) -> None:
    with engine.client() as client:
        response = client.post("/v1/chat/completions", content=content)
    assert response.status_code == 400
    assert response.json()["error"]["type"] == "invalid_request_error"


def test_a_body_over_the_limit_is_a_413(engine: EngineProcess) -> None:
    with engine.client() as client:
        response = client.post("/v1/chat/completions", content=b" " * (17 * 1024 * 1024))
    assert response.status_code == 413
    assert response.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/nope", 404), ("PUT", "/health", 405)]
)
def test_other_routes_are_openai_errors_too(
    engine: EngineProcess, method: str, path: str, status: int
) -> None:
    with engine.client() as client:
        response = client.request(method, path)
    assert response.status_code == status
    assert response.json()["error"]["message"]


def test_past_slots_and_queue_a_request_is_a_429_and_health_still_answers(
    engine: EngineProcess,
) -> None:
    clients = [connect(engine) for _ in range(6)]
    for client in clients:
        send(client, json.dumps(body(**ENDLESS)).encode())
    for client in clients:
        client.recv(10)
    refused = engine.chat()
    assert refused.status_code == 429
    assert refused.headers["retry-after"] == "1"
    assert refused.json()["error"]["code"] == "engine_overloaded"
    assert engine.healthy()
    assert engine.metric("vllm:num_requests_waiting") == 2
    for client in clients:
        client.close()
    eventually(lambda: engine.chat().status_code == 200)


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_frees_its_slot(engine: EngineProcess, stream: bool) -> None:
    before = engine.metric('b3iq_engine_requests_ended_total{reason="cancelled"}')
    client = connect(engine)
    send(client, json.dumps(body(**ENDLESS | {"stream": stream})).encode())
    eventually(lambda: engine.metric("vllm:num_requests_running") == 1)
    client.close()
    eventually(
        lambda: engine.metric('b3iq_engine_requests_ended_total{reason="cancelled"}') == before + 1
    )
    assert engine.metric("vllm:num_requests_running") == 0


def test_a_client_that_leaves_the_queue_is_never_served(engine: EngineProcess) -> None:
    busy = [connect(engine) for _ in range(4)]
    for client in busy:
        send(client, json.dumps(body(**ENDLESS)).encode())
    eventually(lambda: engine.metric("vllm:num_requests_running") == 4)
    prompts = engine.metric("vllm:prompt_tokens_total")
    waiting = connect(engine)
    send(waiting, json.dumps(body(**ENDLESS)).encode())
    eventually(lambda: engine.metric("vllm:num_requests_waiting") == 1)
    waiting.close()
    eventually(lambda: engine.metric("vllm:num_requests_waiting") == 0)
    assert engine.metric("vllm:prompt_tokens_total") == prompts
    for client in busy:
        client.close()
    eventually(lambda: engine.metric("vllm:num_requests_running") == 0)


def test_neither_prompts_nor_answers_reach_the_log(engine: EngineProcess) -> None:
    canary = "canary-7f3a"
    engine.chat(messages=[{"role": "user", "content": canary}])
    engine.chat(messages=[{"role": canary, "content": canary}])
    with engine.client() as client:
        client.post("/v1/chat/completions", content=b'{"model": "' + canary.encode())
    assert canary not in engine.log.read_text()

from __future__ import annotations

import json
import socket
import threading

import pytest

from b3iq.node.engine_client import EngineClient, Usage
from b3iq.node.engine_errors import (
    ContextLengthExceeded,
    EngineFailed,
    EngineOverloaded,
    EngineRefused,
    EngineUnavailable,
    ModelNotFound,
)
from b3iq.node.engine_wire import ClientGone
from tests.unit.node_inference.scripted_engine import (
    DONE,
    END,
    STREAM_HEAD,
    WEIGHTS,
    answer,
    chunked,
    event,
)

CANARY = "canary-5f0c"


@pytest.fixture
def client(scripted):
    return EngineClient(scripted.path, connect_s=5)


def chunks(client, scripted, *script):
    scripted.script = script
    stream = client.stream(client.begin({"model": "m"}))
    try:
        return [chunk for batch in stream.batches() for chunk in batch]
    finally:
        stream.close()


def test_the_engine_is_always_asked_for_a_stream_with_running_counts(client, scripted):
    chunks(client, scripted, STREAM_HEAD, chunked(event("a", "stop", 1) + DONE), END)
    assert scripted.requests == [
        {
            "model": "m",
            "stream": True,
            "stream_options": {"include_usage": True, "continuous_usage_stats": True},
        }
    ]


def test_events_are_read_however_they_are_cut(client, scripted):
    said = event("hé", None, 1) + event("llo", "stop", 2) + DONE
    pieces = [chunked(said[i : i + 1]) for i in range(len(said))]
    got = chunks(client, scripted, STREAM_HEAD, *pieces, END)
    assert [chunk.text for chunk in got] == ["hé", "llo"]
    assert got[-1].finish_reason == "stop"
    assert got[-1].usage == Usage(5, 2)


def test_comments_and_other_fields_of_the_stream_are_passed_over(client, scripted):
    said = b": keep-alive\n\nevent: x\nid: 4\n" + event("a", "stop", 1).replace(b"\n", b"\r\n")
    got = chunks(client, scripted, STREAM_HEAD, chunked(said + DONE), END)
    assert [chunk.text for chunk in got] == ["a"]


@pytest.mark.parametrize(
    "said",
    [
        b"data: {not json}\n\n",
        b"data: []\n\n",
        b"data: {}\n\n",
        b"data: " + b"[" * 100_000 + b"\n\n",
        b'data: {"choices": "none"}\n\n',
        b'data: {"choices": [{}]}\n\n',
        b'data: {"choices": [], "usage": {"prompt_tokens": "many"}}\n\n',
        b'data: {"error": {"message": "' + CANARY.encode() + b'", "code": "engine_failed"}}\n\n',
        b"",
    ],
)
def test_an_engine_that_speaks_nonsense_or_dies_has_failed_and_is_not_quoted(
    client, scripted, said
):
    with pytest.raises(EngineFailed) as caught:
        chunks(client, scripted, STREAM_HEAD, chunked(event("a", None, 1)), chunked(said or b"\n"))
    assert CANARY not in caught.value.message


REFUSALS = {
    "too long": (400, "context_length_exceeded", "messages", ContextLengthExceeded, "messages"),
    "refused": (400, "whatever", "top_k", EngineRefused, "top_k"),
    "refused without a name": (422, None, None, EngineRefused, None),
    "full": (429, "engine_overloaded", None, EngineOverloaded, None),
    "loading": (503, None, None, EngineUnavailable, None),
    "faulty": (500, None, None, EngineUnavailable, None),
}


@pytest.mark.parametrize(
    ("status", "code", "param", "kind", "named"), REFUSALS.values(), ids=REFUSALS.keys()
)
def test_refusals_are_told_in_the_nodes_words(client, scripted, status, code, param, kind, named):
    body = {"error": {"message": f"you sent {CANARY}", "code": code, "param": param}}
    with pytest.raises(kind) as caught:
        chunks(client, scripted, answer(status, json.dumps(body).encode()))
    assert caught.value.param == named
    assert CANARY not in caught.value.message


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"error": "text"}', b"[" * 100_000])
def test_a_refusal_in_no_known_form_is_a_refusal(client, scripted, body):
    with pytest.raises(EngineRefused):
        chunks(client, scripted, answer(400, body))


def test_an_engine_that_dies_before_it_answers_has_failed(client, scripted):
    with pytest.raises(EngineFailed):
        chunks(client, scripted, b"HTTP/1.1 200 OK\r\n")


def test_nobody_on_the_socket_is_an_unavailable_engine(socket_path):
    client = EngineClient(socket_path, connect_s=1)
    assert not client.is_healthy()
    for ask in (client.models, lambda: client.model("m"), lambda: client.begin({})):
        with pytest.raises(EngineUnavailable) as caught:
            ask()
        assert caught.value.retry_after_s > 0
        assert str(socket_path) not in caught.value.message


def test_a_client_that_leaves_before_the_first_token_ends_the_request(client, scripted):
    forever = threading.Event()
    scripted.script = [forever]
    ours, theirs = socket.socketpair()
    threading.Timer(0.1, theirs.close).start()
    with pytest.raises(ClientGone):
        client.stream(client.begin({}), ours)
    assert scripted.closed.wait(5)
    forever.set()


def test_models_carry_their_digest_and_unknown_ones_are_a_404(client):
    model = client.model("m")
    assert (model.weights_sha256, model.created, model.manifest_sha256) == (WEIGHTS, 7, None)
    with pytest.raises(ModelNotFound) as caught:
        client.model(CANARY)
    assert CANARY not in caught.value.message
    assert caught.value.param == "model"


@pytest.mark.parametrize("body", [b"{}", b"[]", b'{"data": [{}]}', b"\xff", b"[" * 100_000])
def test_a_list_of_models_that_is_none_is_an_unavailable_engine(client, scripted, body):
    scripted.models = answer(200, body)
    with pytest.raises(EngineUnavailable):
        client.models()


LISTED_LIES = {
    "a context that is an object": {"max_model_len": {"prompt": CANARY}},
    "a digest that is none": {"weights_sha256": CANARY},
    "a name that is an object": {"id": {"x": 1}},
    "an owner of a megabyte": {"owned_by": "x" * 1_000_000},
}


@pytest.mark.parametrize("lie", LISTED_LIES.values(), ids=LISTED_LIES)
def test_a_hostile_engine_cannot_put_its_own_json_into_the_list_of_models(client, scripted, lie):
    scripted.models = answer(200, json.dumps({"data": [{"id": "m"} | lie]}).encode())
    with pytest.raises(EngineUnavailable) as caught:
        client.models()
    assert CANARY not in caught.value.message


STREAMED_LIES = {
    "a reason that is an object": event("a", {"x": CANARY}, 1),
    "a reason that nobody knows": event("a", CANARY, 1),
    "fewer than no tokens": event("a", None, -1),
    "more tokens than a receipt can count": event("a", None, 2**53),
    "infinitely many tokens": event("a", None, float("inf")),
}


@pytest.mark.parametrize("said", STREAMED_LIES.values(), ids=STREAMED_LIES)
def test_a_hostile_engine_cannot_put_its_own_json_into_an_answer(client, scripted, said):
    with pytest.raises(EngineFailed) as caught:
        chunks(client, scripted, STREAM_HEAD, chunked(said + DONE), END)
    assert CANARY not in caught.value.message


def test_a_stale_list_of_models_is_asked_for_again(client, scripted, monkeypatch):
    client.models()
    scripted.models = answer(200, b'{"data": [{"id": "other"}]}')
    assert [model.id for model in client.models()] == ["m"]
    monkeypatch.setattr(client, "_models_until", 0.0)
    assert [model.id for model in client.models()] == ["other"]

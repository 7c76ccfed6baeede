"""Every way in which an answer can end, on the real application and a scripted engine."""

from __future__ import annotations

import json
import threading

import pytest

from b3iq.node import completion
from b3iq.node.engine_client import EngineClient
from b3iq.receipts.errors import ReceiptSealed
from tests.unit.node import apps
from tests.unit.node_inference.scripted_engine import (
    DONE,
    END,
    STREAM_HEAD,
    answer,
    chunked,
    event,
)

WHOLE = [
    STREAM_HEAD,
    chunked(event("Hel", None, 1)),
    chunked(event("lo", None, 2) + event("", "stop", 2) + DONE),
    END,
]
FOREVER = threading.Event()


@pytest.fixture
def node(tmp_path, scripted):
    node = apps.make(tmp_path)
    object.__setattr__(node.services, "engine", EngineClient(scripted.path, connect_s=5))
    yield node
    node.close()


@pytest.fixture
def asked(node):
    """Posts a chat; what is not said about it is right."""
    client, key = node.app.test_client(), node.key()

    def ask(*, buffered=True, **change):
        body = {"model": "m", "messages": [{"role": "user", "content": "hi"}]} | change
        headers = {**apps.HOST, "Authorization": f"Bearer {key}"}
        return client.post("/v1/chat/completions", json=body, headers=headers, buffered=buffered)

    return ask


def receipts(node):
    return [(r.receipt.status, r.receipt.usage) for r in node.services.receipts.recent()]


def only_receipt(node):
    ((status, usage),) = receipts(node)
    return status, usage.prompt_tokens, usage.completion_tokens


def open_rows(node):
    return len(node.services.receipts.recover())


def events(response):
    lines = response.get_data().split(b"\n\n")
    return [json.loads(line[6:]) for line in lines if line.startswith(b"data: {")]


@pytest.fixture(autouse=True)
def nothing_is_left(node):
    yield
    assert node.services.streams.active == 0
    assert open_rows(node) == 0


def test_a_whole_answer_is_completed(node, scripted, asked):
    scripted.script = WHOLE
    body = asked().get_json()
    assert body["choices"][0]["message"]["content"] == "Hello"
    assert body["usage"] == {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
    assert only_receipt(node) == ("completed", 5, 2)


def test_a_stream_is_completed_before_its_last_event_is_sent(node, scripted, asked):
    scripted.script = WHOLE
    response = asked(stream=True, buffered=False)
    for data in response.response:
        if b'"finish_reason":"stop"' in data:
            assert only_receipt(node) == ("completed", 5, 2)
            break
    else:
        pytest.fail("the stream had no end")
    response.close()
    assert only_receipt(node) == ("completed", 5, 2)


def test_a_stream_whose_farewell_is_lost_was_complete(node, scripted, asked):
    scripted.script = [STREAM_HEAD, chunked(event("Hi", "stop", 1))]
    assert events(asked(stream=True))[-1]["choices"][0]["finish_reason"] == "stop"
    assert only_receipt(node) == ("completed", 5, 1)


def test_an_engine_that_says_it_is_done_without_a_reason_has_failed(node, scripted, asked):
    scripted.script = [STREAM_HEAD, chunked(event("Hi", None, 1) + DONE), END]
    assert events(asked(stream=True))[-1]["error"]["code"] == "engine_failed"
    assert only_receipt(node) == ("failed", 5, 1)


def test_an_engine_whose_event_does_not_end_has_failed(node, scripted, asked):
    endless = chunked(b"x" * 65536)
    scripted.script = [STREAM_HEAD, chunked(event("Hi", None, 1) + b"data: "), *[endless] * 17]
    scripted.script.append(FOREVER)
    assert events(asked(stream=True))[-1]["error"]["code"] == "engine_failed"
    assert only_receipt(node) == ("failed", 5, 1)


def test_a_token_that_arrives_together_with_the_engines_end_is_shown_and_counted(
    node, scripted, asked
):
    said = event("Hel", None, 1) + b'data: {"error": {"code": "engine_failed"}}\n\n'
    scripted.script = [STREAM_HEAD, chunked(said), END]
    told = events(asked(stream=True))
    assert told[1]["choices"][0]["delta"]["content"] == "Hel"
    assert told[-1]["error"]["code"] == "engine_failed"
    assert only_receipt(node) == ("failed", 5, 1)


def test_counts_that_no_receipt_can_hold_do_not_keep_the_node_from_its_next_start(
    node, scripted, asked, monkeypatch
):
    monkeypatch.setattr(completion, "_NOTE_EVERY_S", 0.0)
    scripted.script = [STREAM_HEAD, chunked(event("Hel", None, 2**53 - 1) + DONE), END]
    asked(stream=True)
    node.services.receipts.recover()
    assert only_receipt(node)[0] == "failed"


def test_an_engine_without_running_counts_is_counted_by_its_events(node, scripted, asked):
    scripted.script = [STREAM_HEAD, chunked(event("a") + event("b")), END]
    asked(stream=True)
    assert only_receipt(node) == ("failed", 0, 2)


def test_a_stream_that_is_closed_before_its_first_event_is_aborted(node, scripted, asked):
    scripted.script = WHOLE
    asked(stream=True, buffered=False).close()
    assert only_receipt(node)[0] == "aborted"


def test_a_stream_that_is_closed_in_the_middle_is_aborted_with_what_came(node, scripted, asked):
    scripted.script = [STREAM_HEAD, chunked(event("Hel", None, 1)), FOREVER]
    response = asked(stream=True, buffered=False)
    next(iter(response.response))
    response.close()
    assert only_receipt(node) == ("aborted", 5, 1)
    assert scripted.closed.wait(5)


@pytest.mark.parametrize("stream", [True, False])
def test_an_engine_that_dies_in_the_middle_is_told_and_receipted(node, scripted, asked, stream):
    scripted.script = [STREAM_HEAD, chunked(event("Hel", None, 1))]
    response = asked(stream=stream)
    told = events(response)[-1] if stream else response.get_json()
    assert told["error"]["code"] == "engine_failed"
    assert told["error"]["type"] == "api_error"
    assert told["b3iq"]["receipt_hash"] == told["error"]["b3iq"]["receipt_hash"]
    assert node.services.receipts.recent()[0].receipt_hash == told["b3iq"]["receipt_hash"]
    assert only_receipt(node) == ("failed", 5, 1)


def test_an_engine_that_dies_before_the_first_token_is_receipted(node, scripted, asked):
    scripted.script = [b"HTTP/1.1 200"]
    response = asked(stream=True)
    assert response.status_code == 502
    assert response.get_json()["b3iq"]["receipt_hash"]
    assert only_receipt(node) == ("failed", 0, 0)


@pytest.mark.parametrize("status", [400, 429, 503])
def test_what_the_engine_refuses_leaves_no_receipt(node, scripted, asked, status):
    scripted.script = [answer(status, b"{}")]
    response = asked()
    assert response.status_code == status
    assert ("retry-after" in response.headers) == (status != 400)
    assert receipts(node) == []


@pytest.mark.parametrize(("end", "status"), [("revoked", "aborted"), ("stopping", "interrupted")])
def test_a_stream_that_the_node_ends_is_told_so(node, scripted, asked, end, status):
    scripted.script = [STREAM_HEAD, chunked(event("Hel", None, 1)), FOREVER]
    response = asked(stream=True, buffered=False)
    pieces = iter(response.response)
    next(pieces)
    streams = node.services.streams
    for slot in list(streams._taken):
        slot.end(end)
    (last,) = [json.loads(piece[6:]) for piece in pieces]
    response.close()
    assert last["error"]["code"] == "stream_ended"
    assert only_receipt(node) == (status, 5, 1)


def test_a_fault_of_the_node_ends_the_stream_with_an_event(node, scripted, asked, monkeypatch):
    scripted.script = WHOLE
    monkeypatch.setattr(completion.Answer, "_count", lambda *_: 1 / 0)
    last = events(asked(stream=True))[-1]
    assert last["error"]["code"] == "internal_error"
    assert only_receipt(node)[0] == "failed"


def test_a_receipt_that_cannot_be_stored_gives_the_slot_back(node, scripted, asked, monkeypatch):
    scripted.script = WHOLE
    with monkeypatch.context() as patch:
        patch.setattr(node.services.receipts, "_seal", lambda *_: 1 / 0)
        last = events(asked(stream=True))[-1]
    assert last["error"]["code"] == "internal_error"
    assert last["b3iq"]["receipt_hash"] is None
    # The row stayed open: the next start seals it.
    assert open_rows(node) == 1


def test_past_the_cap_nothing_reaches_the_engine(node, scripted, asked):
    streams = node.services.streams
    taken = [streams.take() for _ in range(streams.limit)]
    response = asked()
    assert response.status_code == 429
    assert response.headers["retry-after"]
    assert response.get_json()["error"]["code"] == "too_many_streams"
    assert scripted.requests == []
    for slot in taken:
        slot.release()


def test_an_engine_without_a_digest_makes_no_receipts_and_so_no_answers(node, scripted, asked):
    scripted.models = answer(200, b'{"data": [{"id": "m"}]}')
    assert asked().status_code == 503
    assert scripted.requests == []


def test_counts_are_noted_while_a_stream_runs(node, scripted, asked, monkeypatch):
    monkeypatch.setattr(completion, "_NOTE_EVERY_S", 0.0)
    scripted.script = [STREAM_HEAD, chunked(event("Hel", None, 1)), FOREVER]
    response = asked(stream=True, buffered=False)
    next(iter(response.response))
    # What a start after a crash would find.
    (receipt,) = node.services.receipts.recover()
    assert receipt.receipt.status == "interrupted"
    assert receipt.receipt.usage.completion_tokens == 1
    with pytest.raises(ReceiptSealed):
        response.close()

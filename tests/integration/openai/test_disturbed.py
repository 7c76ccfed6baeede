"""Clients that leave, engines that die, nodes that stop: every answer is accounted for."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import openai
import pytest

from tests.integration.openai.served import Served, idle, serving, until

pytestmark = pytest.mark.usefixtures("rested")
HELLO = [{"role": "user", "content": "tell me a very long story"}]


def long_stream(served: Served, key: str | None = None, **more):
    # Greedy, so that every run is the same one; far more tokens than any test waits for.
    return served.client(key).chat.completions.create(
        model=served.model, messages=HELLO, temperature=0, max_tokens=3000, stream=True, **more
    )


def raw_stream(served: Served, *, stream: bool = True) -> socket.socket:
    body = json.dumps(
        {
            "model": served.model,
            "messages": HELLO,
            "temperature": 0,
            "max_tokens": 3000,
            "stream": stream,
        }
    )
    connection = served.connect()
    connection.sendall(
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
        f"Authorization: Bearer {served.key}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
    )
    return connection


def test_a_client_that_leaves_is_charged_what_the_node_received(slow):
    stream = long_stream(slow, stream_options={"include_usage": True})
    received = 0
    for chunk in stream:
        received += bool(chunk.choices and chunk.choices[0].delta.content)
        if received == 5:
            break
    stream.close()
    until(lambda: idle(slow))
    receipt = slow.last_receipt()
    assert receipt["status"] == "aborted"
    assert receipt["usage"]["prompt_tokens"] > 0
    # At least what was read here; not much more, since nobody generated on for nobody.
    assert 5 <= receipt["usage"]["completion_tokens"] < 500


def test_the_engine_stops_generating_when_the_client_has_left(slow):
    engine = httpx.Client(transport=httpx.HTTPTransport(uds=str(slow.state / "run/engine.sock")))
    stream = long_stream(slow)
    next(iter(stream))
    stream.close()

    def running() -> float:
        lines = engine.get("http://engine/metrics").text.splitlines()
        return sum(
            float(line.split()[-1])
            for line in lines
            if line.startswith(("vllm:num_requests_running", "b3iq_engine_num_requests_running"))
        )

    until(lambda: running() == 0)


def test_a_client_that_leaves_a_whole_answer_ends_it_too(slow):
    connection = raw_stream(slow, stream=False)
    until(lambda: not idle(slow))
    connection.close()
    until(lambda: idle(slow))
    assert slow.last_receipt()["status"] == "aborted"


def test_an_engine_killed_in_mid_stream_is_told_receipted_and_back(slow):
    node_before = slow.processes("node")
    stream = long_stream(slow)
    events = iter(stream)
    for _ in range(3):
        next(events)
    # The process that generates; its parent starts another.
    os.kill(slow.processes("engine")[-1], signal.SIGKILL)
    with pytest.raises(openai.APIError) as caught:
        list(events)
    assert caught.value.code == "engine_failed"
    receipt = slow.receipt(caught.value.body["b3iq"]["receipt_hash"])
    assert receipt["status"] == "failed"
    assert receipt["usage"]["completion_tokens"] >= 2
    assert httpx.get(f"{slow.base_url}/health").status_code == 200

    # Ten seconds is the promise; a machine that runs tests has other work beside.
    until(lambda: answers(slow), within_s=30)
    assert slow.processes("node") == node_before


def test_an_engine_killed_with_its_parent_is_back_too(slow):
    for pid in slow.processes("engine"):
        os.kill(pid, signal.SIGKILL)
    assert not answers(slow)
    until(lambda: answers(slow), within_s=60)


def answers(served: Served) -> bool:
    """Whether the engine answers; while it does not, clients are told to come back."""
    refused = None
    try:
        with long_stream(served) as stream:
            next(iter(stream))
    except openai.APIStatusError as error:
        refused = error
    if refused is not None:
        # It may still take a request in its last moment, and fail it.
        assert refused.code in {"engine_unavailable", "engine_failed"}
        assert refused.status_code == 502 or refused.response.headers["retry-after"]
        return False
    return True


def test_past_the_cap_is_a_429_and_the_node_still_answers(slow):
    first, second = long_stream(slow), long_stream(slow)
    next(iter(first)), next(iter(second))
    with pytest.raises(openai.RateLimitError) as caught:
        long_stream(slow)
    assert caught.value.code == "too_many_streams"
    assert int(caught.value.response.headers["retry-after"]) >= 1
    assert httpx.get(f"{slow.base_url}/health").status_code == 200
    assert slow.client().models.list().data
    first.close(), second.close()


def test_a_burst_never_exceeds_the_cap(slow):
    seen = []
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            seen.append(slow.admin.get("/admin/status")["streams"])

    def ask(_: int) -> int:
        try:
            slow.client().chat.completions.create(
                model=slow.model, messages=HELLO, temperature=0, max_tokens=5
            )
        except openai.RateLimitError:
            return 429
        return 200

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        with ThreadPoolExecutor(24) as pool:
            statuses = list(pool.map(ask, range(72)))
    finally:
        done.set()
        watcher.join()
    assert max(seen) <= 2
    assert 200 in statuses
    assert 429 in statuses


def test_revoking_a_key_ends_its_running_stream(slow):
    key_id, secret = slow.new_key()
    stream = long_stream(slow, key=secret)
    events = iter(stream)
    next(events)
    slow.admin.post(f"/admin/keys/{key_id}/revoke")
    with pytest.raises(openai.APIError) as caught:
        list(events)
    assert caught.value.code == "stream_ended"
    receipt = slow.receipt(caught.value.body["b3iq"]["receipt_hash"])
    assert receipt["status"] == "aborted"


def test_sigterm_lets_running_streams_finish(short_dir: Path, slow: Served):
    model_dir = (slow.state / "state/models/slow").resolve()
    with serving(short_dir / "drained", model_dir, {"drain_s": 60}) as node:
        stream = node.client().chat.completions.create(
            model=node.model, messages=HELLO, temperature=0, max_tokens=40, stream=True
        )
        events = iter(stream)
        next(events)
        node.process.send_signal(signal.SIGTERM)
        until(lambda: refused(node))
        rest = list(events)
        assert rest[-1].choices[0].finish_reason == "length"
        assert rest[-1].b3iq["receipt_hash"]
        assert node.process.wait(timeout=30) == 0


def refused(node: Served) -> bool:
    try:
        node.connect().close()
    except ConnectionRefusedError:
        return True
    return False


def test_what_a_crash_of_the_node_left_open_is_sealed_interrupted(short_dir: Path, slow: Served):
    model_dir = (slow.state / "state/models/slow").resolve()
    with serving(short_dir / "crashed", model_dir) as node:
        stream = long_stream(node)
        next(iter(stream))
        time.sleep(1.5)  # counts are noted once a second
        for pid in node.processes("node"):
            os.kill(pid, signal.SIGKILL)
        until(lambda: not refused(node))
        receipt = until(lambda: interrupted(node))
        assert receipt["usage"]["completion_tokens"] > 0


def interrupted(node: Served) -> dict | None:
    try:
        receipt = node.last_receipt()
    except Exception:  # noqa: BLE001 - it is starting
        return None
    return receipt if receipt["status"] == "interrupted" else None

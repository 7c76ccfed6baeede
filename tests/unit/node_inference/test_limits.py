"""A key's limits on the real application and a scripted engine."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from b3iq.credentials.limits import KeyLimits
from b3iq.node.engine_client import EngineClient
from b3iq.node.limits import duration
from tests.unit.node import apps
from tests.unit.node_inference.scripted_engine import (
    DONE,
    END,
    STREAM_HEAD,
    answer,
    chunked,
    event,
)

# Charged with 5 prompt tokens and 2 completion tokens.
WHOLE = [STREAM_HEAD, chunked(event("Hello", None, 1) + event("", "stop", 2) + DONE), END]
NAMES = [
    f"x-ratelimit-{part}-{what}"
    for what in ("requests", "tokens")
    for part in ("limit", "remaining", "reset")
]


@pytest.fixture
def node(tmp_path, scripted):
    scripted.script = WHOLE
    node = apps.make(tmp_path)
    object.__setattr__(node.services, "engine", EngineClient(scripted.path, connect_s=5))
    yield node
    assert node.services.streams.active == 0
    assert node.services.receipts.recover() == []
    node.close()


@pytest.fixture
def limited(node):
    """`limited(concurrency=2)`: a new key with these limits; its id and how it asks."""

    def make(**limits):
        key, secret = node.services.keys.create("k", limits=KeyLimits(**limits))

        def ask(model="m", path="/v1/chat/completions", address="127.0.0.1", secret=secret):
            body = {"model": model, "messages": [{"role": "user", "content": "hi"}]}
            client = node.app.test_client()
            return client.open(
                path,
                method="GET" if path == "/v1/models" else "POST",
                json=None if path == "/v1/models" else body,
                headers=apps.bearer(secret),
                environ_overrides={"REMOTE_ADDR": address},
            )

        return key.key_id, ask

    return make


def refusal(response):
    return response.status_code, response.get_json()["error"]["code"]


def told(response):
    return {name: response.headers[name] for name in NAMES if name in response.headers}


def test_a_key_without_rates_is_told_nothing_of_rates(limited):
    _, ask = limited(concurrency=5)
    assert told(ask()) == {}


def test_the_headers_count_down_to_a_429_that_says_when_to_come_back(limited):
    _, ask = limited(requests_per_minute=2)
    assert told(ask()) == {
        "x-ratelimit-limit-requests": "2",
        "x-ratelimit-remaining-requests": "1",
        "x-ratelimit-reset-requests": "1m0s",
    }
    assert told(ask())["x-ratelimit-remaining-requests"] == "0"
    refused = ask()
    assert refusal(refused) == (429, "rate_limit_exceeded")
    assert refused.get_json()["error"]["type"] == "rate_limit_error"
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert told(refused)["x-ratelimit-remaining-requests"] == "0"


def test_tokens_are_charged_when_the_answer_ends_and_then_count(limited):
    _, ask = limited(tokens_per_minute=10)
    assert told(ask()) == {
        "x-ratelimit-limit-tokens": "10",
        "x-ratelimit-remaining-tokens": "10",
        "x-ratelimit-reset-tokens": "0s",
    }
    # 7 are used, so a second answer is let in and overshoots by its own length.
    assert told(ask())["x-ratelimit-remaining-tokens"] == "3"
    refused = ask()
    assert refusal(refused) == (429, "rate_limit_exceeded")
    assert told(refused)["x-ratelimit-remaining-tokens"] == "0"
    assert 1 <= int(refused.headers["retry-after"]) <= 60


def test_a_refused_request_uses_nothing(node, limited, scripted):
    _, ask = limited(requests_per_minute=1)
    scripted.script = [answer(400, b'{"error": {"code": "context_length_exceeded"}}')]
    assert ask().status_code == 400
    assert ask(model="none").status_code == 404
    scripted.script = WHOLE
    assert ask().status_code == 200
    for _ in range(3):
        assert ask().status_code == 429
    assert len(node.services.receipts.recent()) == 1


def test_a_request_over_the_limit_is_refused_before_its_body_is_read(limited):
    _, ask = limited(requests_per_minute=1)
    assert ask(model=7).status_code == 400
    ask()
    assert ask(model=7).status_code == 429


def test_two_hundred_at_once_get_exactly_what_the_key_may_have(node, limited, scripted):
    _, ask = limited(requests_per_minute=7)
    together = threading.Barrier(200)
    ask(path="/v1/models")  # the door to the scripted engine is too narrow for 200 of these

    def burst(_):
        together.wait()
        return ask().status_code

    with ThreadPoolExecutor(200) as pool:
        ended = Counter(pool.map(burst, range(200)))
    assert ended == {200: 7, 429: 193}
    # Nothing was asked of the engine for those that were refused.
    assert len(scripted.requests) == len(node.services.receipts.recent(500)) == 7


def test_the_counts_survive_a_restart(node, limited, tmp_path, scripted):
    key_id, ask = limited(requests_per_minute=1)
    assert ask().status_code == 200
    again = apps.make(tmp_path)
    object.__setattr__(again.services, "engine", EngineClient(scripted.path, connect_s=5))
    _, secret = again.services.keys.rotate(key_id)
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
    refused = again.app.test_client().post(
        "/v1/chat/completions", json=body, headers=apps.bearer(secret)
    )
    again.close()
    # Neither the new process nor the new secret begins anew.
    assert refusal(refused) == (429, "rate_limit_exceeded")


def test_a_key_at_its_own_cap_is_a_429(node, limited):
    key_id, ask = limited(concurrency=1)
    with node.services.streams.take(key_id):
        refused = ask()
    assert refusal(refused) == (429, "concurrency_limit_exceeded")
    assert refused.headers["retry-after"] == "1"
    assert ask().status_code == 200


@pytest.mark.parametrize("model", ["other", "not installed"])
def test_a_model_that_the_key_may_not_use_is_a_403_installed_or_not(limited, scripted, model):
    _, ask = limited(models=("m",))
    refused = ask(model=model)
    assert refusal(refused) == (403, "model_not_allowed")
    assert refused.get_json()["error"]["param"] == "model"
    assert ask().status_code == 200
    assert len(scripted.requests) == 1


def test_a_key_sees_only_the_models_that_it_may_use(limited):
    _, ask = limited(models=("m",))
    assert [m["id"] for m in ask(path="/v1/models").get_json()["data"]] == ["m"]
    _, ask = limited(models=("other",))
    assert ask(path="/v1/models").get_json()["data"] == []


@pytest.mark.parametrize("path", ["/v1/models", "/v1/chat/completions"])
def test_an_address_that_the_key_may_not_be_used_from_gets_nothing(limited, path):
    _, ask = limited(addresses=("192.0.2.0/24",))
    assert refusal(ask(path=path)) == (403, "address_not_allowed")
    assert ask(path=path, address="192.0.2.9").status_code == 200


def test_a_forwarded_address_opens_nothing(node, limited):
    _, secret = node.services.keys.create("k", limits=KeyLimits(addresses=("192.0.2.0/24",)))
    for name in ("X-Forwarded-For", "Forwarded", "X-Real-IP"):
        headers = {**apps.bearer(secret), name: "192.0.2.9"}
        refused = node.app.test_client().get("/v1/models", headers=headers)
        assert refusal(refused) == (403, "address_not_allowed")


def test_who_has_no_key_learns_nothing_of_its_addresses(limited):
    _, ask = limited(addresses=("192.0.2.0/24",))
    assert ask(secret="b3iq_local_" + "a" * 53).status_code == 401


def test_a_limit_that_changes_is_in_force_on_the_next_request(node, limited):
    key_id, ask = limited()
    assert ask().status_code == 200
    node.services.keys.change(key_id, KeyLimits(requests_per_minute=1))
    assert ask().status_code == 429
    node.services.keys.change(key_id, KeyLimits(requests_per_minute=None))
    assert ask().status_code == 200


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (0.12, "120ms"), (1, "1s"), (4.06, "4.06s"), (60, "1m0s"), (99.5, "1m39.5s")],
)
def test_a_duration_is_written_as_openai_writes_it(seconds, text):
    assert duration(timedelta(seconds=seconds)) == text

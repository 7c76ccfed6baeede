"""Limits and rotation of keys, as the official SDK and a real node see them."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import openai
import pytest

from tests.integration.openai.served import Served, idle, serving, until

HELLO = [{"role": "user", "content": "hello"}]


def chat(served: Served, secret: str, **more):
    return served.client(secret).chat.completions.create(
        model=served.model, messages=HELLO, **{"max_tokens": 3, "temperature": 0, **more}
    )


def long_stream(served: Served, secret: str):
    events = iter(chat(served, secret, max_tokens=3000, stream=True))
    next(events)
    return events


def rotate(served: Served, key_id: str, minutes: int = 0) -> str:
    path = f"/admin/keys/{key_id}/rotate"
    return served.admin.post(path, {"overlap_minutes": minutes})["secret"]


def limit(served: Served, key_id: str, **limits) -> None:
    served.admin.post(f"/admin/keys/{key_id}/limits", {"limits": limits})


def test_a_key_past_its_requests_is_a_429_with_the_headers_that_clients_read(served):
    _, secret = served.new_key(limits={"requests_per_minute": 2})
    raw = served.client(secret).chat.completions.with_raw_response
    for left in ("1", "0"):
        answer = raw.create(model=served.model, messages=HELLO, max_tokens=3)
        assert answer.headers["x-ratelimit-limit-requests"] == "2"
        assert answer.headers["x-ratelimit-remaining-requests"] == left
        assert answer.headers["x-ratelimit-reset-requests"] == "1m0s"
    with pytest.raises(openai.RateLimitError) as caught:
        chat(served, secret)
    assert caught.value.code == "rate_limit_exceeded"
    assert caught.value.type == "rate_limit_error"
    assert 1 <= int(caught.value.response.headers["retry-after"]) <= 60
    assert caught.value.response.headers["x-ratelimit-remaining-requests"] == "0"


def test_the_tokens_of_an_answer_are_charged_as_its_receipt_says(served):
    _, secret = served.new_key(limits={"tokens_per_minute": 1000})
    used = chat(served, secret).usage.total_tokens
    raw = served.client(secret).chat.completions.with_raw_response
    answer = raw.create(model=served.model, messages=HELLO, max_tokens=3, stream=True)
    assert answer.headers["x-ratelimit-remaining-tokens"] == str(1000 - used)


def test_the_tokens_of_a_client_that_left_are_charged_too(slow, rested):
    _, secret = slow.new_key(limits={"tokens_per_minute": 5})
    events = long_stream(slow, secret)
    for _ in range(5):
        next(events)
    events.close()
    until(lambda: idle(slow))
    with pytest.raises(openai.RateLimitError):
        chat(slow, secret)


def test_a_model_that_the_key_may_not_use_is_refused_and_not_listed(served):
    _, secret = served.new_key(limits={"models": ["another"]})
    with pytest.raises(openai.PermissionDeniedError) as caught:
        chat(served, secret)
    assert (caught.value.code, caught.value.param) == ("model_not_allowed", "model")
    assert served.client(secret).models.list().data == []
    _, secret = served.new_key(limits={"models": [served.model]})
    assert [m.id for m in served.client(secret).models.list().data] == [served.model]
    assert chat(served, secret).usage


def test_a_key_is_refused_where_it_may_not_be_used_from(served):
    key_id, secret = served.new_key(limits={"addresses": ["192.0.2.0/24"]})
    with pytest.raises(openai.PermissionDeniedError) as caught:
        chat(served, secret)
    assert caught.value.code == "address_not_allowed"
    with pytest.raises(openai.PermissionDeniedError):
        served.client(secret).models.list(extra_headers={"X-Forwarded-For": "192.0.2.1"})
    limit(served, key_id, addresses=["127.0.0.0/8"])
    assert chat(served, secret).usage


def test_with_an_overlap_both_secrets_work_and_share_the_limits(served):
    key_id, old = served.new_key(limits={"requests_per_minute": 2})
    new = rotate(served, key_id, minutes=10)
    assert chat(served, old).usage
    assert chat(served, new).usage
    for secret in (old, new):
        with pytest.raises(openai.RateLimitError):
            chat(served, secret)


def test_rotating_at_once_ends_the_old_secret_and_its_running_stream_alone(slow, rested):
    key_id, old = slow.new_key()
    theirs = long_stream(slow, old)
    new = rotate(slow, key_id)
    with pytest.raises(openai.APIError) as caught:
        list(theirs)
    assert caught.value.code == "stream_ended"
    with pytest.raises(openai.AuthenticationError):
        chat(slow, old)
    ours = long_stream(slow, new)
    assert next(ours)
    ours.close()


def test_the_limits_and_what_was_used_survive_a_restart(served, short_dir: Path):
    model_dir = (served.state / "state/models" / served.model).resolve()
    state = short_dir / "restarted"
    with serving(state, model_dir) as node:
        _, secret = node.new_key(limits={"requests_per_minute": 2})
        chat(node, secret)
        chat(node, secret)
    with serving(state, model_dir, with_key=False) as node:
        with pytest.raises(openai.RateLimitError) as caught:
            chat(node, secret)
        assert caught.value.code == "rate_limit_exceeded"


def most_at_once(receipts: list[dict]) -> int:
    """How many receipts were open at one time; one that ends as another begins is gone."""
    steps = [(r["receipt"]["opened_at"], 1) for r in receipts]
    steps += [(r["receipt"]["sealed_at"], -1) for r in receipts]
    running = most = 0
    for _, step in sorted(steps):
        running += step
        most = max(most, running)
    return most


@pytest.fixture(scope="module")
def crowded(served, short_dir: Path):
    """A node of its own, so that its receipts are those of one test."""
    model_dir = (served.state / "state/models" / served.model).resolve()
    with serving(short_dir / "crowded", model_dir, {"stream_limit": 4}) as node:
        yield node


def burst(served: Served, secret: str, clients: int) -> list[int]:
    """What as many clients get that all ask at the same time."""
    together = threading.Barrier(clients)
    body = {"model": served.model, "messages": HELLO, "max_tokens": 20}

    def ask(_: int) -> int:
        with httpx.Client(base_url=served.base_url, timeout=60, trust_env=False) as client:
            together.wait()
            headers = {"Authorization": f"Bearer {secret}"}
            return client.post("/v1/chat/completions", json=body, headers=headers).status_code

    with ThreadPoolExecutor(clients) as pool:
        return list(pool.map(ask, range(clients)))


def test_two_hundred_clients_of_a_key_never_exceed_its_cap(crowded):
    _, secret = crowded.new_key(limits={"concurrency": 2})
    ended = burst(crowded, secret, 200)
    assert set(ended) == {200, 429}
    receipts = crowded.admin.get("/admin/receipts", limit=500)["data"]
    assert len(receipts) == ended.count(200)
    assert 1 <= most_at_once(receipts) <= 2


def test_two_hundred_clients_of_a_key_do_not_starve_another(crowded):
    over = threading.Event()
    _, loud = crowded.new_key()
    _, quiet = crowded.new_key()

    def hammer() -> None:
        while not over.is_set():
            burst(crowded, loud, 200)

    crowd = threading.Thread(target=hammer)
    crowd.start()
    try:
        # As the SDK does it unless told otherwise: it heeds retry-after.
        with openai.OpenAI(
            base_url=f"{crowded.base_url}/v1", api_key=quiet, max_retries=5, timeout=60
        ) as client:
            for _ in range(5):
                answer = client.chat.completions.create(
                    model=crowded.model, messages=HELLO, max_tokens=3
                )
                assert answer.usage
    finally:
        over.set()
        crowd.join()

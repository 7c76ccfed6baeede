"""Another machine's OpenAI client, over TLS with the node's certificate pinned."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import openai
import pytest

from tests.integration.lan_process import ALLOWED, LISTEN, STRANGER, Lan, lan_settings
from tests.integration.node_process import PASSWORD
from tests.integration.openai.served import Served, free_port, idle, serving, until
from tests.unit.engine.tiny_model import build

HELLO = [{"role": "user", "content": "tell me a very long story"}]


@pytest.fixture(scope="module")
def served(short_dir: Path) -> Iterator[Served]:
    """A claimed node with its LAN listener on and answers that last."""
    model = build(
        short_dir / "lan",
        name="slow",
        hidden_size=256,
        intermediate_size=768,
        num_hidden_layers=12,
        num_attention_heads=8,
        num_key_value_heads=4,
        max_position_embeddings=4096,
    )
    with serving(short_dir / "lan-state", model, lan_settings(free_port())) as served:
        token = served.admin.post("/admin/setup-token")["url"].split("#token=")[1]
        body = {"token": token, "owner_name": "Ada", "password": PASSWORD}
        claimed = httpx.post(f"{served.base_url}/setup/claim", json=body)
        assert claimed.status_code == 201
        yield served


@pytest.fixture
def lan(served: Served) -> Lan:
    on = served.admin.get("/admin/status")["lan"]
    return Lan(int(on["urls"][0].rpartition(":")[2]), on["pem"])


def sdk(lan: Lan, key: str, source: str = ALLOWED) -> openai.OpenAI:
    return openai.OpenAI(
        base_url=f"{lan.base_url}/v1",
        api_key=key,
        max_retries=0,
        http_client=lan.client(source),
    )


def long_stream(served: Served, lan: Lan, key: str):
    return sdk(lan, key).chat.completions.create(
        model=served.model, messages=HELLO, temperature=0, max_tokens=3000, stream=True
    )


def test_the_official_sdk_works_with_the_certificate_pinned(served, lan):
    client = sdk(lan, served.key)
    assert [model.id for model in client.models.list()] == [served.model]
    ask = {"model": served.model, "messages": HELLO, "temperature": 0, "max_tokens": 8}
    whole = client.chat.completions.create(**ask)
    chunks = list(client.chat.completions.create(**ask, stream=True))
    said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert said == whole.choices[0].message.content
    assert served.receipt(whole.b3iq["receipt_hash"])["status"] == "completed"


def test_the_official_sdk_refuses_a_node_that_it_does_not_know(served, lan):
    client = openai.OpenAI(base_url=f"{lan.base_url}/v1", api_key=served.key, max_retries=0)
    with pytest.raises(openai.APIConnectionError) as caught:
        client.models.list()
    assert "CERTIFICATE_VERIFY_FAILED" in repr(caught.value.__cause__)


def test_a_stranger_with_a_good_key_is_refused(served, lan):
    with pytest.raises(openai.PermissionDeniedError) as caught:
        sdk(lan, served.key, STRANGER).models.list()
    assert caught.value.code == "address_not_allowed"


def test_a_client_that_leaves_in_the_middle_of_a_stream_is_noticed(served, lan):
    stream = long_stream(served, lan, served.key)
    received = 0
    for chunk in stream:
        received += bool(chunk.choices and chunk.choices[0].delta.content)
        if received == 5:
            break
    stream.close()
    until(lambda: idle(served))
    receipt = served.last_receipt()
    assert receipt["status"] == "aborted"
    assert 5 <= receipt["usage"]["completion_tokens"] < 500


def test_a_client_that_leaves_a_whole_answer_is_noticed_too(served, lan):
    """Nothing is written meanwhile: the node must look at the connection beneath TLS."""
    body = (
        f'{{"model": "{served.model}", "max_tokens": 3000, "temperature": 0,'
        ' "messages": [{"role": "user", "content": "hello"}]}'
    )
    connection = lan.tls()
    connection.sendall(
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: {LISTEN}\r\n"
        f"Authorization: Bearer {served.key}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
    )
    until(lambda: not idle(served))
    connection.close()
    until(lambda: idle(served))
    assert served.last_receipt()["status"] == "aborted"


def test_a_revoked_keys_stream_is_cut_over_tls(served, lan):
    key_id, secret = served.new_key()
    events = iter(long_stream(served, lan, secret))
    next(events)
    served.admin.post(f"/admin/keys/{key_id}/revoke")
    with pytest.raises(openai.APIError) as caught:
        list(events)
    assert caught.value.code == "stream_ended"
    assert served.last_receipt()["status"] == "aborted"
    with pytest.raises(openai.AuthenticationError):
        sdk(lan, secret).models.list()

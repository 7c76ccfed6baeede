"""Receipts, profiles, metrics and the API description over HTTP."""

from __future__ import annotations

import base64
import re

import pytest

from b3iq.node.policy import ADMIN, POLICY
from b3iq.receipts.record import Receipt
from b3iq.receipts.verifier import verify_chain
from tests.unit.node.apps import bearer


def work(node, status: str, prompt_tokens: int, completion_tokens: int) -> None:
    opened = node.services.receipts.open(
        model_id="b3iq-smoke", model_digest="ab" * 32, runtime_kind="pytorch"
    )
    node.services.receipts.seal(
        opened,
        status=status,
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
        latency_ms=20,
        ttft_ms=None,
    )


def test_listed_receipts_verify_with_the_listed_key(node, owner):
    for _ in range(3):
        work(node, "completed", 3, 5)
    listing = owner.get("/v1/receipts").get_json()
    key = base64.urlsafe_b64decode(listing["public_key_ed25519"] + "=")
    receipts = [Receipt.model_validate(item) for item in reversed(listing["data"])]
    assert verify_chain(receipts, key) == 3


@pytest.mark.parametrize("query", ["limit=0", "limit=501", "limit=x", "limit=", "page=2"])
def test_a_wrong_query_is_a_400(owner, query):
    assert owner.get(f"/v1/receipts?{query}").status_code == 400


def test_the_limit_takes_the_newest(node, owner):
    for tokens in (1, 2, 3):
        work(node, "completed", 0, tokens)
    data = owner.get("/v1/receipts?limit=2").get_json()["data"]
    assert [item["receipt"]["sequence"] for item in data] == [3, 2]


def test_the_metrics_are_the_sums_of_the_receipts(node, client):
    work(node, "completed", 3, 5)
    work(node, "aborted", 10, 1)
    text = client.get("/metrics", headers=bearer(node.key("metrics"))).text
    found = dict(
        re.findall(
            r'^b3iq_node_(?:tokens|receipts)_total\{\w+="(\w+)"\} (\S+)$', text, re.MULTILINE
        )
    )
    assert found == {"completed": "1.0", "aborted": "1.0", "prompt": "13.0", "completion": "6.0"}


def test_without_an_engine_the_profile_says_that_the_runtime_is_missing(owner):
    (profile,) = owner.get("/v1/model-profiles").get_json()["data"]
    assert profile["status"] == "runtime_missing"
    assert profile["queue_health"] == "unhealthy"
    assert profile["paid_route_eligible"] is profile["network_eligible"] is False


def test_the_api_description_has_every_route_of_the_network_and_no_other(owner):
    document = owner.get("/openapi.json").get_json()
    described = {
        (path, method.upper())
        for path, operations in document["paths"].items()
        for method in operations
    }
    listed = {
        (re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.path), method)
        for rule in POLICY
        if ADMIN not in rule.classes
        for method in rule.methods
    }
    assert described == listed


def test_the_api_description_names_the_credentials_of_each_route(owner):
    paths = owner.get("/openapi.json").get_json()["paths"]
    assert paths["/v1/chat/completions"]["post"]["security"] == [{"localKey": []}]
    assert paths["/health"]["get"]["security"] == []
    assert paths["/v1/receipts"]["get"]["security"] == [{"ownerSession": []}, {"setupToken": []}]


def test_every_reference_of_the_api_description_leads_somewhere(owner):
    document = owner.get("/openapi.json").get_json()
    names = set(re.findall(r"#/components/schemas/(\w+)", str(document)))
    assert names
    assert names <= set(document["components"]["schemas"])

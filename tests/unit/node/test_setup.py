"""The claim over HTTP."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from b3iq.credentials import tokens
from tests.unit.node.apps import HOST, ORIGIN, PASSWORD


def claim(client, token: str, headers: dict[str, str] | None = None, **changes: Any):
    body = {"token": token, "owner_name": "Ada", "password": PASSWORD, **changes}
    return client.post("/setup/claim", json=body, headers=HOST | (headers or {}))


def test_a_claim_makes_the_owner_and_logs_in(node):
    browser = node.browser()
    answer = claim(browser.client, node.mint())
    assert answer.status_code == 201
    assert answer.get_json() == {"owner_name": "Ada"}
    assert browser.get("/console/").status_code == 200


def test_the_claim_comes_from_a_link_whose_token_is_in_the_fragment(node, client):
    link = node.admin("/admin/setup-token", "POST").get_json()["url"]
    assert link.startswith("http://localhost:8831/setup/#token=b3iq_setup_")
    assert claim(client, link.split("#token=")[1]).status_code == 201


def test_a_hundred_claims_at_once_make_exactly_one_owner(node):
    token = node.mint()
    barrier = threading.Barrier(100)
    statuses: list[int] = []

    def attempt(number: int) -> None:
        client = node.app.test_client()
        barrier.wait()
        statuses.append(claim(client, token, owner_name=f"rival {number}").status_code)

    threads = [threading.Thread(target=attempt, args=(number,)) for number in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(statuses) == 100
    assert statuses.count(201) == 1
    assert set(statuses) == {201, 404}


def test_a_used_token_finds_nothing(node, client):
    token = node.mint()
    claim(client, token)
    again = claim(client, token)
    assert again.status_code == 404
    assert again.get_json()["error"]["code"] == "not_found"


@pytest.mark.parametrize(
    "token", ["", "wrong", tokens.mint("setup").text, tokens.mint("local").text]
)
def test_a_wrong_token_is_refused_with_the_way_to_a_new_one(node, client, token):
    node.mint()
    answer = claim(client, token)
    assert answer.status_code == 401
    assert "b3iq setup-url" in answer.get_json()["error"]["detail"]
    assert not node.services.owners.is_claimed()


def test_a_token_that_was_replaced_is_refused(node, client):
    old = node.mint()
    node.mint()
    assert claim(client, old).status_code == 401


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"password": "too short"}, "weak_password"),
        ({"owner_name": " "}, "invalid_name"),
        ({"owner_name": "a\u202eb"}, "invalid_name"),
        ({"admin": True}, "invalid_request"),
        ({"password": None}, "invalid_request"),
        ({"password": ["a"]}, "invalid_request"),
        ({"password": "x" * 5000}, "invalid_request"),
        ({"password": "\ud800" * 20}, "invalid_request"),
    ],
)
def test_a_correctable_mistake_leaves_the_token_good(node, client, changes, code):
    token = node.mint()
    refused = claim(client, token, **changes)
    assert (refused.status_code, refused.get_json()["error"]["code"]) == (400, code)
    assert claim(client, token).status_code == 201


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_a_form_of_another_site_cannot_be_dressed_as_a_claim(node, client, content_type):
    """A cross-site form can send these three types without asking (Fetch, CORS)."""
    body = f'{{"token":"{node.mint()}","owner_name":"Eve","password":"{PASSWORD}"}}'
    answer = client.post("/setup/claim", data=body, headers=HOST | {"Content-Type": content_type})
    assert answer.status_code == 415
    assert not node.services.owners.is_claimed()


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:3000"},
        {"Origin": "https://localhost:8831"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": ORIGIN},
    ],
)
def test_a_claim_by_another_site_is_refused_though_it_has_the_token(node, client, headers):
    answer = claim(client, node.mint(), headers)
    assert (answer.status_code, answer.get_json()["error"]["code"]) == (403, "cross_site_request")
    assert not node.services.owners.is_claimed()


def test_the_setup_page_is_gone_after_the_claim(node, client):
    assert client.get("/setup/", headers=HOST).status_code == 200
    node.claim()
    assert client.get("/setup/", headers=HOST).status_code == 404


def test_a_claimed_node_mints_no_setup_token(node):
    node.claim()
    assert node.admin("/admin/setup-token", "POST").status_code == 404


def test_a_stranger_cannot_keep_the_node_busy_with_a_huge_claim(client):
    junk = {f"field{number}": 1 for number in range(10_000)}
    answer = client.post("/setup/claim", json=junk, headers=HOST)
    assert answer.status_code == 413
    assert len(answer.data) < 1000

"""Recovery of a lost owner over HTTP: root's link, once, and what it ends."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from b3iq.credentials import tokens
from tests.unit.node.apps import HOST, PASSWORD, bearer

NEW_PASSWORD = "another good password"


def recover(client, token: str, headers: dict[str, str] | None = None, **changes: Any):
    body = {"token": token, "owner_name": "Grace", "password": NEW_PASSWORD, **changes}
    return client.post("/recover/owner", json=body, headers=HOST | (headers or {}))


def mint(node) -> str:
    return node.services.recovery.mint()[0]


def test_the_link_carries_its_token_in_the_fragment_and_logs_in(node, owner):
    link = node.admin("/admin/recovery-token", "POST").get_json()["url"]
    assert link.startswith("http://localhost:8831/recover/#token=b3iq_setup_")
    browser = node.browser()
    answer = recover(browser.client, link.split("#token=")[1])
    assert (answer.status_code, answer.get_json()) == (201, {"owner_name": "Grace"})
    assert browser.get("/console/").status_code == 200


def test_it_ends_password_second_factor_and_sessions_and_keeps_the_keys(node, owner):
    key = node.key()
    node.enrol()
    asked = node.browser()
    begun = asked.log_in().text
    assert recover(node.app.test_client(), mint(node)).status_code == 201
    assert owner.get("/console/").status_code == 303
    assert node.browser().log_in().status_code == 401
    # A login that was between its two pages is over, too.
    challenge = begun.split('name="challenge" value="')[1].split('"')[0]
    form = {"challenge": challenge, "code": "000000"}
    assert "This login is over" in asked.post("/login/code", form).text
    assert not node.services.second_factor.state().is_on
    back = node.browser().post("/login", {"owner_name": "Grace", "password": NEW_PASSWORD})
    assert back.status_code == 303
    assert node.services.keys.authenticate(key)


def test_until_the_link_is_used_nothing_changes(node, owner):
    node.admin("/admin/recovery-token", "POST")
    assert owner.get("/console/").status_code == 200
    assert node.browser().log_in().status_code == 303


def test_a_hundred_recoveries_at_once_make_exactly_one(node, owner):
    token = mint(node)
    barrier = threading.Barrier(100)
    statuses: list[int] = []

    def attempt(number: int) -> None:
        client = node.app.test_client()
        barrier.wait()
        statuses.append(recover(client, token, owner_name=f"rival {number}").status_code)

    threads = [threading.Thread(target=attempt, args=(number,)) for number in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(statuses) == 100
    assert statuses.count(201) == 1
    assert set(statuses) == {201, 401}
    assert len(node.services.sessions.list()) == 1


@pytest.mark.parametrize(
    "token", ["", "wrong", tokens.mint("setup").text, tokens.mint("local").text]
)
def test_a_wrong_token_is_refused_with_the_way_to_a_new_one(node, owner, client, token):
    mint(node)
    answer = recover(client, token)
    assert answer.status_code == 401
    assert "b3iq recover-owner" in answer.get_json()["error"]["detail"]
    assert node.browser().log_in().status_code == 303


def test_a_used_or_replaced_link_is_refused(node, owner, client):
    old, new = mint(node), mint(node)
    assert recover(client, old).status_code == 401
    assert recover(client, new).status_code == 201
    assert recover(client, new).status_code == 401


def test_the_link_opens_nothing_but_the_recovery(node, owner, client):
    token = mint(node)
    body = {"token": token, "owner_name": "Eve", "password": NEW_PASSWORD}
    assert client.post("/setup/claim", json=body, headers=HOST).status_code == 404
    for path in ("/v1/models", "/v1/receipts", "/v1/model-profiles", "/console/"):
        assert client.get(path, headers=bearer(token)).status_code == 401


def test_a_setup_link_of_an_unclaimed_node_recovers_nobody(node, client):
    token = node.mint()
    assert recover(client, token).status_code == 401
    assert not node.services.owners.is_claimed()
    assert node.admin("/admin/recovery-token", "POST").status_code == 409
    assert client.get("/recover/", headers=HOST).headers["location"] == "/setup/"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"password": "too short"}, "weak_password"),
        ({"owner_name": "a\u202eb"}, "invalid_name"),
        ({"admin": True}, "invalid_request"),
    ],
)
def test_a_correctable_mistake_leaves_the_link_good(node, owner, client, changes, code):
    token = mint(node)
    refused = recover(client, token, **changes)
    assert (refused.status_code, refused.get_json()["error"]["code"]) == (400, code)
    assert node.browser().log_in(PASSWORD).status_code == 303
    assert recover(client, token).status_code == 201


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:3000"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
def test_a_recovery_by_another_site_is_refused_though_it_has_the_token(
    node, owner, client, headers
):
    answer = recover(client, mint(node), headers)
    assert (answer.status_code, answer.get_json()["error"]["code"]) == (403, "cross_site_request")
    assert node.browser().log_in().status_code == 303


def test_a_form_of_another_site_cannot_be_dressed_as_a_recovery(node, owner, client):
    body = f'{{"token":"{mint(node)}","owner_name":"Eve","password":"{NEW_PASSWORD}"}}'
    headers = HOST | {"Content-Type": "text/plain"}
    assert client.post("/recover/owner", data=body, headers=headers).status_code == 415

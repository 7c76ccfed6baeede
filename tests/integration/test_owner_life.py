"""The owner's second factor, sessions and recovery through the real server, and after a cut."""

from __future__ import annotations

import base64
import re
import threading
from collections.abc import Callable

import httpx
import pyotp
import pytest

from tests.integration.node_process import PASSWORD, NodeProcess, node_process
from tests.integration.test_boundary_life import assert_nowhere, written_by

NEW_PASSWORD = "another good password"


@pytest.fixture
def node():
    with node_process() as node:
        node.start()
        yield node


def csrf_token(client: httpx.Client) -> str:
    found = re.search(r'name="csrf_token" value="([^"]+)"', client.get("/console/").text)
    assert found
    return found[1]


def change(node: NodeProcess, client: httpx.Client, path: str, **form: str) -> httpx.Response:
    data = {"csrf_token": csrf_token(client), **form}
    return client.post(path, data=data, headers={"Origin": node.base_url, "Accept": "text/html"})


def enrol(node: NodeProcess, client: httpx.Client) -> tuple[str, list[str]]:
    """Secret and recovery codes of a second factor that is on."""
    begun = change(node, client, "/console/second-factor").text
    found = re.search(r'aria-label="The secret">([A-Z2-7 ]+)<', begun)
    assert found
    secret = found[1].replace(" ", "")
    code = pyotp.TOTP(secret).now()
    done = change(node, client, "/console/second-factor/confirm", code=code).text
    return secret, re.findall(r"<li><code>([a-z2-9-]+)</code>", done)


def challenge(node: NodeProcess, client: httpx.Client) -> str:
    found = re.search(r'name="challenge" value="([^"]+)"', node.log_in(client).text)
    assert found
    return found[1]


def finish(node: NodeProcess, client: httpx.Client, begun: str, code: str) -> int:
    form = {"challenge": begun, "code": code}
    return client.post("/login/code", data=form, headers={"Origin": node.base_url}).status_code


def at_once(count: int, attempt: Callable[[int], int]) -> list[int]:
    barrier = threading.Barrier(count)
    statuses: list[int] = []

    def run(number: int) -> None:
        barrier.wait()
        statuses.append(attempt(number))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return statuses


def test_a_hundred_browsers_recover_at_once_and_one_becomes_the_owner(node):
    with node.client() as owner:
        node.claim(owner)
        link = str(node.admin.post("/admin/recovery-token")["url"])

        def recover(number: int) -> int:
            with node.client() as client:
                body = {
                    "token": link.split("#token=")[1],
                    "owner_name": f"rival {number}",
                    "password": NEW_PASSWORD,
                }
                return client.post("/recover/owner", json=body).status_code

        assert sorted(at_once(100, recover)) == [201] + [401] * 99
        assert owner.get("/v1/receipts").status_code == 401
    assert len(node.admin.get("/admin/sessions")["data"]) == 1


def test_of_two_browsers_with_one_code_exactly_one_is_let_in(node):
    with node.client() as owner, node.client() as one, node.client() as other:
        node.claim(owner)
        _, codes = enrol(node, owner)
        rivals = [(client, challenge(node, client)) for client in (one, other)]
        statuses = at_once(2, lambda number: finish(node, *rivals[number], codes[0]))
    assert sorted(statuses) == [303, 401]


def test_a_used_code_stays_used_and_a_revoked_session_ended_after_a_power_cut(node):
    with node.client() as owner, node.client() as thief, node.client() as late:
        node.claim(owner)
        _, codes = enrol(node, owner)
        assert finish(node, thief, challenge(node, thief), codes[0]) == 303
        there = node.admin.get("/admin/sessions")["data"][0]["session_id"]
        node.admin.post(f"/admin/sessions/{there}/revoke")
        node.kill()
        node.start()
        assert thief.get("/v1/receipts").status_code == 401
        assert owner.get("/v1/receipts").status_code == 200
        assert finish(node, late, challenge(node, late), codes[0]) == 401
        assert finish(node, late, challenge(node, late), codes[1]) == 303


def test_a_revoked_session_is_refused_on_its_very_next_request(node):
    """Over a connection that is open already, while other threads of the node read sessions."""
    with node.client() as owner:
        node.claim(owner)
        for _ in range(8):
            with node.client() as client:
                node.log_in(client)
                assert client.get("/v1/receipts").status_code == 200
                there = node.admin.get("/admin/sessions")["data"][0]["session_id"]
                node.admin.post(f"/admin/sessions/{there}/revoke")
                statuses = at_once(4, lambda _, asker=client: asker.get("/v1/receipts").status_code)
                assert statuses == [401] * 4
        assert owner.get("/v1/receipts").status_code == 200


def test_no_secret_of_the_owner_is_in_a_log_a_process_listing_or_a_file(node):
    with node.client() as owner, node.client() as client:
        node.claim(owner)
        secret, codes = enrol(node, owner)
        begun = challenge(node, client)
        finish(node, client, begun, "wrong-canary")
        finish(node, client, begun, codes[0])
        change(node, owner, "/console/name", owner_name="x", proof_password="canary-password")
        token = str(node.admin.post("/admin/recovery-token")["url"]).split("#token=")[1]
        body = {"token": token, "owner_name": "Ada", "password": NEW_PASSWORD}
        client.post("/recover/owner", json=body | {"password": "canary"})
        client.post("/recover/owner", json=body)
        cookie = client.cookies["b3iq_session"]
    raw = base64.b32decode(secret)
    canaries = [secret, *codes, begun, token, token.split("_")[3], cookie, "canary"]
    canaries += [PASSWORD, NEW_PASSWORD, raw.hex(), base64.b64encode(raw).decode()]
    assert_nowhere(canaries, written_by(node))

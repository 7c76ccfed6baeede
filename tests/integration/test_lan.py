"""The LAN listener: TLS or nothing, listed addresses or nothing, a claimed node or nothing."""

from __future__ import annotations

import httpx
import pytest

from b3iq.credentials import secret_files
from b3iq.node.policy import POLICY
from tests.integration.lan_process import (
    ALLOWED,
    LISTEN,
    NAME,
    STRANGER,
    claimed_lan_node,
    lan_node,
)
from tests.integration.node_process import PASSWORD
from tests.integration.test_boundary_life import assert_nowhere, written_by


@pytest.fixture(scope="module")
def started():
    with claimed_lan_node() as started:
        yield started


@pytest.fixture
def node(started):
    return started[0]


@pytest.fixture
def lan(started):
    return started[1]


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


# --- who is answered ---------------------------------------------------------------------


def test_a_listed_address_is_answered_with_the_certificate_that_the_node_names(node, lan):
    with lan.client() as client:
        assert client.get("/health").json() == {"status": "ok"}
    with lan.tls() as connection:
        shown = connection.getpeercert()
    assert ("IP Address", LISTEN) in shown["subjectAltName"]
    assert ("DNS", NAME) in shown["subjectAltName"]


# Every route of the policy table, those of the administrator's socket, and one that is none.
ROUTES = sorted({(method, rule.path) for rule in POLICY for method in rule.methods})
ROUTES += [("HEAD", "/health"), ("OPTIONS", "/"), ("GET", "/nothing")]


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_an_address_that_is_not_listed_is_told_so_and_nothing_else(node, lan, method, path):
    _, key = node.new_key()
    headers = {"Authorization": f"Bearer {key}", "Host": "evil.example"}
    with lan.client(STRANGER, headers=headers) as client:
        answer = client.request(method, path)
    assert answer.status_code == 403
    assert "allow-list" in answer.text or method == "HEAD"


@pytest.mark.parametrize(
    "header",
    ["X-Forwarded-For", "X-Real-IP", "X-Client-IP", "True-Client-IP", "CF-Connecting-IP"],
)
def test_no_header_makes_an_address_a_listed_one(lan, header):
    with lan.client(STRANGER, headers={header: ALLOWED}) as client:
        assert code(client.get("/health")) == (403, "address_not_allowed")
    forwarded = {"Forwarded": f"for={ALLOWED};proto=https;host={LISTEN}"}
    with lan.client(STRANGER, headers=forwarded) as client:
        assert code(client.get("/health")) == (403, "address_not_allowed")


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1", "[::1]", "evil.example", "node.test.evil.example", ""]
)
def test_another_name_is_refused_even_from_a_listed_address(node, lan, host):
    _, key = node.new_key()
    with lan.client(headers={"Host": host, "Authorization": f"Bearer {key}"}) as client:
        assert client.get("/v1/models").status_code in {400, 421}


def test_the_configured_name_is_one_of_the_lan_listener_alone(node, lan):
    with lan.client(headers={"Host": f"{NAME}:{lan.port}"}) as client:
        assert client.get("/health").status_code == 200
    with node.client() as client:
        for host in (NAME, LISTEN):
            assert client.get("/health", headers={"Host": host}).status_code == 421


def test_loopback_stays_plain_and_the_administrators_routes_stay_away(node, lan):
    with node.client() as client:
        assert client.get("/health").status_code == 200
    with lan.client() as client:
        for path in ("/admin/status", "/admin/keys"):
            assert client.get(path).status_code == 404
        assert client.get("/setup/").status_code == 404


def test_a_node_without_an_owner_answers_nothing_but_the_refusal():
    with lan_node() as (node, lan):
        token = node.setup_token()
        with lan.client() as client:
            for method, path in (*ROUTES, ("GET", f"/setup/#token={token}")):
                answer = client.request(method, path)
                assert answer.status_code == 403
                assert "no owner yet" in answer.text or method == "HEAD"
            body = {"token": token, "owner_name": "Eve", "password": PASSWORD}
            assert code(client.post("/setup/claim", json=body)) == (403, "node_not_claimed")
            bearer = {"Authorization": f"Bearer {token}"}
            assert code(client.get("/v1/models", headers=bearer)) == (403, "node_not_claimed")
            with node.client() as local:
                assert node.claim(local).status_code == 201
            # From the next request on, without a restart.
            assert client.get("/health").status_code == 200


def test_the_private_key_is_in_no_log_listing_or_file_but_its_own(node, lan):
    with lan.client() as client:
        assert client.get("/health").status_code == 200
    pair = (node.paths.credentials / secret_files.LAN_TLS).read_text()
    lines = pair.partition("-----END PRIVATE")[0].splitlines()[1:]
    assert len(lines) == 3
    assert_nowhere([line for line in lines if len(line) > 40], written_by(node))


# --- the owner's session -----------------------------------------------------------------


def log_in(lan, client: httpx.Client, password: str = PASSWORD) -> httpx.Response:
    form = {"owner_name": "Ada", "password": password}
    return client.post("/login", data=form, headers={"Origin": lan.base_url})


def test_the_cookie_is_bound_to_the_host_and_to_tls(node, lan):
    with lan.client() as client:
        answer = log_in(lan, client)
        assert answer.status_code == 303
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith("__Host-b3iq_session=")
        words = {word.strip() for word in cookie.split(";")[1:]}
        assert {"Secure", "HttpOnly", "SameSite=Strict", "Path=/"} <= words
        assert not any(word.startswith("Domain") for word in words)
        page = client.get("/console/")
        assert page.status_code == 200
        assert f"{lan.base_url}/v1" in page.text
        value = client.cookies["__Host-b3iq_session"]
    # Under the name that loopback knows it opens nothing here.
    with lan.client(cookies={"b3iq_session": value}) as client:
        assert client.get("/v1/receipts").status_code == 401


def test_a_plain_or_foreign_origin_changes_nothing(lan):
    form = {"owner_name": "Ada", "password": PASSWORD}
    for origin in (f"http://{LISTEN}:{lan.port}", f"https://{NAME}:{lan.port}", "null"):
        with lan.client(headers={"Origin": origin}) as client:
            assert client.post("/login", data=form).status_code == 403


def test_whoever_guesses_over_the_lan_does_not_lock_out_the_local_console(node, lan):
    with lan.client() as guesser, node.client() as owner:
        said = [log_in(lan, guesser, "wrong password here").status_code for _ in range(7)]
        assert said == [401] * 5 + [429] * 2
        assert log_in(lan, guesser).status_code == 429
        assert node.log_in(owner).status_code == 303

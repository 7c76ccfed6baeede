"""Credentials on the wire: what opens, what does not, and what is never said."""

from __future__ import annotations

import logging

import pytest

from b3iq.credentials import tokens
from tests.unit.node.apps import HOST, bearer


def chat(client, text: str):
    return client.post("/v1/chat/completions", json={}, headers=bearer(text))


def test_a_local_key_opens_the_local_api(node, client):
    # Past the gate: the schema refuses an empty body; no engine runs for the models.
    assert chat(client, node.key()).status_code == 400
    assert client.get("/v1/models", headers=bearer(node.key())).status_code == 503


def test_a_revoked_key_is_refused_on_the_next_request(node, client):
    key, secret = node.services.keys.create("doomed")
    assert chat(client, secret).status_code == 400
    assert node.admin(f"/admin/keys/{key.key_id}/revoke", "POST").status_code == 200
    assert chat(client, secret).status_code == 401


def test_revoking_a_key_ends_its_running_streams_and_no_others(node):
    key, _ = node.services.keys.create("doomed")
    doomed = node.services.streams.take(key.key_id)
    other = node.services.streams.take("another key")
    node.admin(f"/admin/keys/{key.key_id}/revoke", "POST")
    assert doomed.cut == "revoked"
    assert other.cut is None


def test_a_key_without_the_scope_is_told_which_scope(node, client):
    answer = client.get("/metrics", headers=bearer(node.key("inference")))
    assert answer.status_code == 403
    assert "'metrics'" in answer.get_json()["error"]["detail"]
    assert chat(client, node.key("metrics")).status_code == 403


@pytest.mark.parametrize("kind", ["gateway", "support"])
def test_a_foreign_key_is_refused_clearly_and_never_logged(node, client, caplog, kind):
    caplog.set_level(logging.DEBUG)
    foreign = tokens.mint(kind).text
    answer = chat(client, foreign)
    assert answer.status_code == 401
    assert f"b3iq_{kind}_ credential does not open" in answer.get_json()["error"]["message"]
    secret = foreign.split("_")[3]
    assert secret not in answer.text
    assert secret not in caplog.text


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Basic b3du",
        "Bearer b3iq_local_",
        "Bearer null",
        "Digest x",
        "Bearer " + "x" * 8000,
        "Bearer \xff\xfe",
        "Token b3iq",
    ],
)
def test_a_malformed_authorization_is_a_401(client, header):
    answer = client.get("/v1/models", headers={**HOST, "Authorization": header})
    assert answer.status_code == 401
    assert answer.get_json()["error"]["code"] == "unauthorized"


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "Bearer "])
def test_the_scheme_is_read_as_http_reads_it(node, client, scheme):
    headers = {**HOST, "Authorization": f"{scheme} {node.key()}"}
    assert client.get("/v1/models", headers=headers).status_code == 503


def test_a_key_in_the_query_or_a_cookie_opens_nothing(node, client):
    key = node.key()
    client.set_cookie("b3iq_session", key, domain="localhost")
    for path in (f"/v1/models?api_key={key}", f"/v1/models?access_token={key}", "/v1/models"):
        assert client.get(path, headers=HOST).status_code == 401


def test_a_bad_key_beside_a_good_session_is_refused(node, owner):
    """No request falls back from one authority to another."""
    assert owner.get("/v1/receipts").status_code == 200
    assert owner.get("/v1/receipts", Authorization="Bearer nonsense").status_code == 401


def test_an_owner_session_does_not_open_inference(owner):
    answer = owner.client.post("/v1/chat/completions", json={}, headers=HOST)
    assert answer.status_code == 401


def test_the_setup_token_reads_before_the_claim_and_nothing_after_it(node, client):
    token = node.mint()
    for path in ("/v1/model-profiles", "/v1/receipts"):
        assert client.get(path, headers=bearer(token)).status_code == 200
    for path in ("/metrics", "/openapi.json", "/console/"):
        assert client.get(path, headers=bearer(token)).status_code == 403
    assert chat(client, token).status_code == 403
    node.services.setup.claim(token, "Ada", "correct horse battery")
    for path in ("/v1/model-profiles", "/v1/receipts"):
        assert client.get(path, headers=bearer(token)).status_code == 401


def test_nothing_that_a_client_sent_is_repeated_in_an_error_or_a_log(node, owner, caplog):
    caplog.set_level(logging.DEBUG)
    canary = "canary7f3a"
    client = node.app.test_client()
    answers = [
        client.post("/setup/claim", json={"token": canary, "owner_name": canary, canary: canary}),
        client.post("/setup/claim", data=f'{{"token": "{canary}', content_type="application/json"),
        client.get(f"/v1/receipts?limit={canary}", headers={**HOST, "Cookie": _cookie(owner)}),
        client.get(f"/{canary}", headers=HOST),
        chat(client, canary),
        node.admin("/admin/keys", "POST", json={"name": "x", "scopes": [canary]}),
    ]
    assert {a.status_code for a in answers} <= {400, 401, 404}
    for answer in answers[1:]:
        assert canary not in answer.text
    assert canary not in caplog.text


def _cookie(owner) -> str:
    return f"b3iq_session={owner.cookie}"

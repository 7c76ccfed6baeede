"""The gate: who is answered at all, and how refusals read."""

from __future__ import annotations

import pytest
from flask import Response

from tests.unit.node import apps
from tests.unit.node.apps import HOST, bearer


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "localhost.evil.example",
        "evil.example:8831",
        "localhost@evil.example",
        "localhost:8831,evil.example",
        "localhost.",
        "127.0.0.1.nip.io",
        "0.0.0.0",
        "[::]",
        "localhost:",
        "localhost:8831:8831",
        "localhost:99999999",
        "localhost/",
        " localhost",
        "localhost\t",
        "LOCALHOST\x00",
        "http://localhost",
        "",
    ],
)
@pytest.mark.parametrize("path", ["/health", "/v1/models", "/console/", "/nothing"])
def test_a_rebound_name_gets_nothing_even_with_a_valid_key(node, client, host, path):
    headers = bearer(node.key()) | {"Host": host}
    assert client.get(path, headers=headers).status_code == 421


def test_a_request_without_a_host_gets_nothing(client):
    answer = client.get("/health", environ_overrides={"HTTP_HOST": ""})
    assert answer.status_code == 421


@pytest.mark.parametrize("host", ["localhost", "localhost:8831", "127.0.0.1:8831", "[::1]:8831"])
def test_the_nodes_own_names_are_answered_on_any_port(client, host):
    # Any port: an SSH forward has a port of its own, and rebinding is about names.
    assert client.get("/health", headers={"Host": host.upper()}).status_code == 200


def test_a_configured_name_is_answered(tmp_path):
    node = apps.make(tmp_path, host_names=["Node.example"])
    answer = node.app.test_client().get("/health", headers={"Host": "node.example:8831"})
    assert answer.status_code == 200
    node.close()


@pytest.mark.parametrize(
    "name", ["X-Forwarded-Host", "X-Host", "Forwarded", "X-Original-Host", "X-Forwarded-Server"]
)
def test_a_forwarded_host_is_ignored(client, name):
    wrong = client.get("/health", headers={"Host": "evil.example", name: "localhost"})
    right = client.get("/health", headers={**HOST, name: "evil.example"})
    assert (wrong.status_code, right.status_code) == (421, 200)


def test_a_route_that_the_policy_does_not_name_is_refused_at_run_time(node, owner):
    node.app._got_first_request = False
    node.app.add_url_rule("/backdoor", view_func=lambda: Response("in"))
    key = node.key("inference", "metrics")
    assert owner.get("/backdoor").status_code == 404
    assert node.app.test_client().get("/backdoor", headers=bearer(key)).status_code == 404
    assert node.admin("/backdoor").status_code == 404


def test_a_method_that_the_policy_does_not_name_is_refused_at_run_time(node, owner):
    node.app._got_first_request = False
    node.app.add_url_rule("/health", "wipe", methods=["DELETE"], view_func=lambda: Response("x"))
    assert owner.client.delete("/health", headers=HOST).status_code == 404


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE", "PUT", "PATCH", "DELETE", "PROPFIND", "X"])
@pytest.mark.parametrize("path", ["/health", "/v1/models", "/v1/chat/completions", "/login"])
def test_another_method_is_refused(client, method, path):
    assert client.open(path, method=method, headers=HOST).status_code == 405


def test_no_page_of_another_origin_is_let_in_by_cors(node, client):
    headers = bearer(node.key()) | {"Origin": "https://evil.example"}
    for answer in (
        client.get("/v1/models", headers=headers),
        client.options(
            "/v1/chat/completions",
            headers={**headers, "Access-Control-Request-Method": "POST"},
        ),
    ):
        assert not [name for name, _ in answer.headers if name.lower().startswith("access-control")]


def test_head_is_answered_as_get_without_a_body(node, client):
    assert client.head("/health", headers=HOST).status_code == 200
    assert client.head("/v1/receipts", headers=HOST).status_code == 401


@pytest.mark.parametrize(
    "path",
    [
        "//health",
        "/health/",
        "/health//",
        "/./health",
        "/static/../health",
        "/v1//models",
        "/setup",
        "/console",
        "/HEALTH",
        "/health%2f",
        "/%2e%2e/health",
        "/v1/models%00",
        "/admin/status",
        "/admin/keys",
        "/admin/setup-token",
    ],
)
def test_another_spelling_of_a_path_is_not_corrected_into_it(node, client, path):
    answer = client.get(path, headers=bearer(node.key("inference", "metrics")))
    assert answer.status_code in {404, 405}


def test_every_response_has_a_request_id(node, client):
    for path in ("/health", "/nothing", "/v1/models"):
        assert len(client.get(path, headers=HOST).headers["x-request-id"]) >= 8
    assert client.get("/health", headers={"Host": "evil"}).headers["x-request-id"]


def test_a_clients_own_request_id_comes_back(client):
    answer = client.get("/health", headers={**HOST, "X-Request-Id": "job-7.step_2"})
    assert answer.headers["x-request-id"] == "job-7.step_2"


@pytest.mark.parametrize("given", ["", "a b", "x" * 65, "<script>", 'a"', "é", "a;b"])
def test_a_request_id_that_could_harm_a_log_is_replaced(client, given):
    answer = client.get("/health", headers={**HOST, "X-Request-Id": given})
    assert answer.headers["x-request-id"] != given


def test_openai_paths_answer_in_openais_form(client):
    for path, method in (("/v1/models", "GET"), ("/v1/chat/completions", "POST")):
        answer = client.open(path, method=method, headers=HOST)
        error = answer.get_json()["error"]
        assert set(error) == {"message", "type", "param", "code", "b3iq"}
        assert set(error["b3iq"]) == {"status", "title", "detail", "code"}
        assert (error["type"], error["code"]) == ("authentication_error", "unauthorized")
        assert error["b3iq"]["status"] == answer.status_code == 401


def test_native_paths_answer_in_the_native_form(client):
    error = client.get("/v1/receipts", headers=HOST).get_json()["error"]
    assert set(error) == {"status", "title", "detail", "code"}
    assert (error["status"], error["code"]) == (401, "unauthorized")


def test_a_401_says_how_to_authenticate(client):
    assert client.get("/v1/models", headers=HOST).headers["www-authenticate"].startswith("Bearer")


def test_an_unforeseen_fault_tells_a_client_nothing(node, client, monkeypatch, caplog):
    monkeypatch.setattr(node.services.engine, "models", lambda: 1 / 0, raising=True)
    answer = client.get("/v1/models", headers=bearer(node.key()))
    assert answer.status_code == 500
    assert "zero" not in answer.text
    assert "Traceback" not in answer.text
    assert answer.get_json()["error"]["type"] == "api_error"
    assert "request_failed" in caplog.text


def test_a_body_over_the_limit_is_refused(tmp_path):
    node = apps.make(tmp_path, body_limit_bytes=1024)
    answer = node.app.test_client().post(
        "/v1/chat/completions",
        data=b"x" * 2000,
        headers=bearer(node.key()) | {"Content-Type": "application/json"},
    )
    assert answer.status_code == 413
    assert answer.get_json()["error"]["type"] == "invalid_request_error"
    node.close()


def test_a_listener_beyond_the_machine_is_refused(tmp_path):
    with pytest.raises(Exception, match="not loopback"):
        apps.make(tmp_path, listen_address="0.0.0.0")


def test_metric_labels_never_come_from_a_clients_words(node, client):
    client.open("/a-canary-path", method="CANARYMETHOD", headers=HOST)
    text = client.get("/metrics", headers=bearer(node.key("metrics"))).text
    assert "canary" not in text.lower()
    assert 'b3iq_node_requests_total{method="other",route="unmatched",status="404"} 1.0' in text

"""The administrator's socket: only root's, or in development the user's own."""

from __future__ import annotations

import os
import re
import socket
import struct
from typing import Any

import pytest
from sqlalchemy import select

from b3iq.node import connection
from b3iq.node.policy import ADMIN, POLICY
from b3iq.paths import Paths
from b3iq.store.tables import session
from tests.unit.node.apps import HOST, PASSWORD, bearer

ADMIN_RULES = [rule for rule in POLICY if ADMIN in rule.classes]


class PeerOf(socket.socket):
    """A Unix connection whose peer the kernel says is somebody else."""

    uid = 0

    def getsockopt(self, *_arguments: Any) -> bytes:  # type: ignore[override]
        return struct.pack("3i", 1, self.uid, self.uid)


def peer(uid: int) -> PeerOf:
    made = PeerOf(socket.AF_UNIX, socket.SOCK_STREAM)
    made.uid = uid
    return made


@pytest.mark.parametrize("rule", ADMIN_RULES, ids=lambda r: f"{min(r.methods)} {r.path}")
def test_an_admin_route_does_not_exist_on_tcp(node, owner, rule):
    method = next(iter(rule.methods))
    path = re.sub(r"<\w+_id>", "000000000000", rule.path)
    for headers in (HOST, bearer(node.key("inference", "metrics"))):
        assert owner.client.open(path, method=method, headers=headers).status_code == 404


@pytest.mark.parametrize("path", ["/health", "/", "/v1/models", "/console/", "/metrics"])
def test_the_admin_socket_serves_nothing_else(node, path):
    assert node.admin(path).status_code == 404


@pytest.mark.parametrize(
    ("uid", "layout", "admitted"),
    [
        (0, "host", True),
        (0, "development", True),
        ("own", "development", True),
        ("own", "host", False),
        (65534, "development", False),
        (65534, "host", False),
    ],
)
def test_the_kernel_says_who_the_administrator_is(node, monkeypatch, uid, layout, admitted):
    monkeypatch.setattr(os, "geteuid", lambda: 4242)
    paths = Paths.system() if layout == "host" else node.paths
    connection_ = peer(4242 if uid == "own" else uid)
    assert connection.is_admin({"gunicorn.socket": connection_}, paths) is admitted
    connection_.close()


def test_another_user_of_the_machine_is_refused_whatever_it_asks(node):
    stranger = peer(65534)
    for path in ("/admin/status", "/admin/keys", "/health", "/nothing"):
        over = {"gunicorn.socket": stranger}
        answer = node.app.test_client().get(path, environ_overrides=over)
        assert answer.status_code == 403
    stranger.close()


@pytest.mark.parametrize("value", [None, "a string", 7, object()])
def test_what_is_no_unix_connection_is_no_administrator(node, value):
    assert not connection.is_admin({"gunicorn.socket": value}, node.paths)
    assert not connection.is_admin({}, node.paths)
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp:
        assert not connection.is_admin({"gunicorn.socket": tcp}, node.paths)


def test_a_header_makes_nobody_administrator(client):
    for name in ("gunicorn.socket", "X-Admin", "X-Remote-User", "X-B3IQ-Admin-Token"):
        assert client.get("/admin/status", headers={**HOST, name: "0"}).status_code == 404


def test_a_key_is_made_listed_and_revoked(node, client):
    made = node.admin(
        "/admin/keys", "POST", json={"name": "laptop", "scopes": ["metrics", "inference"]}
    )
    assert made.status_code == 201
    secret, key = made.get_json()["secret"], made.get_json()["key"]
    assert key["scopes"] == ["inference", "metrics"]
    assert client.get("/metrics", headers=bearer(secret)).status_code == 200
    listed = node.admin("/admin/keys")
    assert [item["key_id"] for item in listed.get_json()["data"]] == [key["key_id"]]
    assert secret not in listed.text
    for _ in range(2):
        revoked = node.admin(f"/admin/keys/{key['key_id']}/revoke", "POST")
        assert revoked.status_code == 200
        assert revoked.get_json()["revoked_at"]
    assert client.get("/metrics", headers=bearer(secret)).status_code == 401


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"name": "x", "scopes": ["everything"]}, "invalid_scope"),
        ({"name": "x", "scopes": []}, "invalid_scope"),
        ({"name": "\x07"}, "invalid_name"),
        ({"name": "x", "secret": "mine"}, "invalid_request"),
        ({"name": "x", "expires_at": "2026-01-01T00:00:00"}, "invalid_request"),
        ({"name": "x", "limits": {"weekly": 5}}, "invalid_request"),
        ({"name": "x", "limits": {"concurrency": 0}}, "invalid_request"),
        ({"name": "x", "limits": {"addresses": ["localhost"]}}, "invalid_request"),
        ({"name": "x", "limits": None}, "invalid_request"),
        ({}, "invalid_request"),
    ],
)
def test_a_key_that_cannot_be_is_refused_and_not_made(node, body, code):
    answer = node.admin("/admin/keys", "POST", json=body)
    assert (answer.status_code, answer.get_json()["error"]["code"]) == (400, code)
    assert node.services.keys.list() == []


def test_revoking_an_unknown_key_is_a_404(node):
    answer = node.admin("/admin/keys/000000000000/revoke", "POST")
    assert (answer.status_code, answer.get_json()["error"]["code"]) == (404, "key_not_found")


@pytest.mark.parametrize(
    ("what", "body"),
    [
        ("limits", {"limits": {"weekly": 5}}),
        ("limits", {"limits": {"concurrency": "2"}}),
        ("limits", {"concurrency": 2}),
        ("limits", {"expires_at": "2026-01-01T00:00:00"}),
        ("limits", {"name": "other"}),
        ("rotate", {"overlap_minutes": -1}),
        ("rotate", {"overlap_minutes": 10081}),
        ("rotate", {"secret": "mine"}),
    ],
)
def test_a_change_that_cannot_be_is_refused_and_changes_nothing(node, body, what):
    key, secret = node.services.keys.create("laptop")
    answer = node.admin(f"/admin/keys/{key.key_id}/{what}", "POST", json=body)
    assert (answer.status_code, answer.get_json()["error"]["code"]) == (400, "invalid_request")
    assert node.services.keys.authenticate(secret).key_id == key.key_id
    assert node.services.keys.get(key.key_id).limits == key.limits


def test_the_owners_sessions_are_listed_and_ended(node, owner):
    second = node.browser()
    second.log_in()
    listed = node.admin("/admin/sessions").get_json()["data"]
    assert len(listed) == 2
    assert set(listed[0]) == {"session_id", "browser", "opened_at", "seen_at"}
    newest = listed[0]["session_id"]
    assert node.admin(f"/admin/sessions/{newest}/revoke", "POST").get_json() == {"ended": 1}
    assert second.get("/console/").status_code == 303
    assert owner.get("/console/").status_code == 200
    again = node.admin(f"/admin/sessions/{newest}/revoke", "POST")
    assert (again.status_code, again.get_json()["error"]["code"]) == (404, "session_not_found")
    assert node.admin("/admin/sessions/revoke-all", "POST").get_json() == {"ended": 1}
    assert owner.get("/console/").status_code == 303


def test_the_list_of_sessions_holds_nothing_that_opens_one(node, owner):
    owner.post("/login", {"owner_name": "Ada", "password": PASSWORD}, User_Agent="<b>Mallory</b>")
    text = node.admin("/admin/sessions").text
    assert owner.cookie not in text
    assert "Mallory" not in text
    with node.services.database.read() as connection:
        for (digest,) in connection.execute(select(session.c.digest)):
            assert digest[:8] not in text


def test_the_status_says_what_the_node_is_doing(node):
    status = node.admin("/admin/status").get_json()
    assert status["claimed"] is False
    assert status["engine"] == "unavailable"
    assert status["receipts"] == 0
    node.claim()
    assert node.admin("/admin/status").get_json()["claimed"] is True

"""What the node records of itself, and who may read it."""

from __future__ import annotations

import json

import pytest

from b3iq.audit.record import Checkpoint
from b3iq.audit.verifier import Verifier
from b3iq.evidence import signing
from tests.unit.node.apps import HOST, ORIGIN, OWNER, PASSWORD, bearer


def told(node) -> list[tuple[str, str, str]]:
    """Actor, client and action of every event, oldest first."""
    page = node.admin("/admin/audit?after=0&limit=500").get_json()
    events = [entry["event"] for entry in page["data"]]
    return [(event["actor"], event["client"], event["action"]) for event in events]


def test_every_change_of_an_owners_life_is_recorded_with_who_made_it(node):
    link = node.admin("/admin/setup-token", "POST").get_json()["url"]
    browser = node.browser()
    body = {"token": link.split("#token=")[1], "owner_name": OWNER, "password": PASSWORD}
    assert browser.client.post("/setup/claim", json=body, headers=HOST).status_code == 201
    form = {"csrf_token": browser.csrf_token()}
    browser.post("/console/keys", {**form, "name": "laptop", "scope": "inference"})
    (key,) = node.services.keys.list()
    node.admin(f"/admin/keys/{key.key_id}/revoke", "POST")
    browser.post("/logout", form)
    assert told(node) == [
        ("admin", "local", "setup_token_minted"),
        ("setup", "loopback", "node_claimed"),
        ("owner", "loopback", "login"),
        ("owner", "loopback", "local_key_created"),
        ("admin", "local", "local_key_revoked"),
        ("owner", "loopback", "logout"),
    ]


def test_every_refusal_is_recorded(node):
    node.claim()
    before = len(told(node))
    stranger = node.browser()
    body = {"token": "x", "owner_name": "Eve", "password": PASSWORD}
    stranger.client.post("/setup/claim", json=body, headers=HOST)
    for _ in range(6):
        stranger.log_in("not the password")
    # The 1st, 2nd and 4th of five wrong passwords; then the wait.
    assert told(node)[before:] == [
        ("visitor", "loopback", "setup_claim_refused"),
        ("visitor", "loopback", "login_refused"),
        ("visitor", "loopback", "login_refused"),
        ("visitor", "loopback", "login_refused"),
        ("visitor", "loopback", "login_throttled"),
    ]


def test_what_changes_nothing_leaves_no_event(node, owner):
    key, _ = node.services.keys.create("doomed")
    node.services.keys.revoke(key.key_id)
    before = told(node)
    node.admin(f"/admin/keys/{key.key_id}/revoke", "POST")
    node.admin("/admin/keys/000000000000/revoke", "POST")
    node.admin("/admin/keys", "POST", json={"name": "\x07"})
    node.admin("/admin/setup-token", "POST")
    owner.get("/console/")
    owner.post("/console/keys", {"name": "x", "scope": "inference"})  # no CSRF token
    assert told(node) == before


def test_the_log_holds_nothing_that_somebody_typed_and_no_secret(node):
    canaries = ["Ada-canary", "wrong-canary-password", "key-name-canary", "canary-token", PASSWORD]
    token = node.mint()
    node.services.setup.claim(token, "Ada-canary", PASSWORD)
    browser = node.browser()
    login = {"owner_name": "Ada-canary", "password": PASSWORD}
    assert browser.post("/login", login).status_code == 303
    cookie = browser.cookie
    browser.post("/login", {"owner_name": "canary-token", "password": "wrong-canary-password"})
    _, secret = node.services.keys.create("key-name-canary")
    body = {"token": "canary-token", "owner_name": "Eve", "password": PASSWORD}
    browser.client.post("/setup/claim", json=body, headers=HOST)
    with node.services.database.read() as connection:
        digests = connection.exec_driver_sql(
            "SELECT digest FROM local_key UNION SELECT digest FROM session"
        ).scalars()
        canaries += [token, secret, cookie, secret.split("_")[3], *digests]
    written = node.admin("/admin/audit?after=0&limit=500").text
    assert len(json.loads(written)["data"]) >= 6
    assert [canary for canary in canaries if canary in written] == []
    kept = node.paths.audit_checkpoint.read_text()
    assert [canary for canary in canaries if canary in kept] == []


def test_the_log_verifies_from_its_pages_alone(node, owner):
    for number in range(12):
        node.services.keys.create(f"key {number}")
    page = node.admin("/admin/audit?after=0&limit=5").get_json()
    key = signing.public_bytes(page["public_key_ed25519"])
    verifier = Verifier([Checkpoint.model_validate(page["checkpoint"])], key)
    while page["data"]:
        for entry in page["data"]:
            verifier.add(entry["event_hash"], entry["event"])
        page = node.admin(f"/admin/audit?after={verifier.size}&limit=5").get_json()
    verifier.finish()
    assert verifier.size == page["size"] == 15


@pytest.mark.parametrize("query", ["limit=0", "limit=501", "after=-1", "before=1&after=1", "x=1"])
def test_a_question_that_cannot_be_answered_is_a_400(node, query):
    assert node.admin(f"/admin/audit?{query}").status_code == 400


def test_nobody_reads_the_log_over_the_network(node, owner):
    for path, method in (("/admin/audit", "GET"), ("/admin/audit/accept", "POST")):
        for headers in (HOST, {**HOST, "Origin": ORIGIN}, bearer(node.key("inference", "metrics"))):
            assert owner.client.open(path, method=method, headers=headers).status_code == 404


def test_a_broken_log_is_told_by_the_status_and_accepted_once(node):
    node.claim()
    assert node.admin("/admin/status").get_json()["audit_intact"] is True
    assert node.admin("/admin/audit/accept", "POST").status_code == 409
    with node.services.database.write() as connection:
        connection.exec_driver_sql("DELETE FROM audit_event WHERE sequence > 1")
    assert node.admin("/admin/status").get_json()["audit_intact"] is False
    assert node.admin("/admin/audit/accept", "POST").get_json()["action"] == "audit_log_accepted"
    assert node.admin("/admin/status").get_json()["audit_intact"] is True


def test_a_body_that_is_no_event_can_still_be_read_and_shown(node, owner):
    with node.services.database.write() as connection:
        connection.exec_driver_sql("UPDATE audit_event SET body = x'ff' WHERE sequence = 1")
    page = node.admin("/admin/audit").get_json()
    assert page["data"][-1] == {**page["data"][-1], "sequence": 1, "event": None}
    assert "Entry was changed" in owner.get("/console/").text

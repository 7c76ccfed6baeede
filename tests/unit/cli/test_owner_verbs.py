"""The verbs about the owner, as typed: sessions and recovery."""

from __future__ import annotations

import json
import re
import stat

import pytest

from tests.integration.node_process import node_process

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


@pytest.fixture(scope="module")
def node():
    """A node of its own, which gets its owner."""
    with node_process() as node:
        node.start()
        with node.client() as client:
            assert node.claim(client).status_code == 201
        yield node


def test_a_node_without_owner_has_nothing_to_recover(run_json, run, tmp_path):
    with node_process() as unclaimed:
        unclaimed.start()
        done = run("recover-owner", "--json", state=unclaimed.state)
    assert done.returncode == 1
    assert json.loads(done.stderr)["error"]["code"] == "not_claimed"


def test_sessions_are_listed_and_ended(node, run, run_json):
    with node.client() as browser:
        browser.headers["user-agent"] = FIREFOX
        assert node.log_in(browser).status_code == 303
        listed = run("sessions", "list").stdout
        assert re.search(r"^[0-9a-f]{12} +Firefox on Linux +\d{4}-\d\d-\d\d", listed, re.MULTILINE)
        assert max(map(len, listed.splitlines())) <= 80
        newest = run_json("sessions", "list")["data"][0]["session_id"]
        assert run_json("sessions", "revoke", newest) == {"ended": 1}
        assert browser.get("/console/").status_code == 401
        gone = run("sessions", "revoke", newest)
        assert gone.returncode == 1
        assert "b3iq sessions list" in gone.stderr
        assert node.log_in(browser).status_code == 303
        assert "Sessions ended: " in run("sessions", "revoke-all").stdout
        assert browser.get("/console/").status_code == 401
    assert run_json("sessions", "list")["data"] == []


@pytest.mark.parametrize("session_id", ["../status", "a/b", "", "%2e"])
def test_ending_what_is_no_session_says_so(run, session_id):
    done = run("sessions", "revoke", "--json", "--", session_id)
    assert done.returncode == 1
    assert json.loads(done.stderr)["error"]["detail"]


def test_the_recovery_link_is_shown_once_on_a_line_of_its_own(run):
    done = run("recover-owner")
    form = r"^http://localhost:\d+/recover/#token=b3iq_setup_\w{12}_\w{40}$"
    assert re.search(form, done.stdout, re.MULTILINE)
    assert "One-time" in done.stdout


def test_the_recovery_link_goes_into_a_private_file_and_nowhere_else(run, tmp_path, node):
    path = tmp_path / "recovery-url"
    done = run("recover-owner", "--file", str(path))
    assert done.returncode == 0
    token = path.read_text().strip().split("#token=")[1]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert token not in done.stdout + done.stderr
    body = {"token": token, "owner_name": "Grace", "password": "another good password"}
    with node.client() as client:
        assert client.post("/recover/owner", json=body).status_code == 201
        assert client.get("/console/").status_code == 200


def test_the_way_from_a_claimed_node_to_a_recovery_is_said(run):
    done = run("setup-url")
    assert done.returncode == 1
    assert "b3iq recover-owner" in done.stderr

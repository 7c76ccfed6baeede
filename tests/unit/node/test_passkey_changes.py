"""Passkeys as the owner adds, uses and removes them; what is no new passkey is not kept."""

from __future__ import annotations

import json

import pytest

from b3iq.credentials.passkeys import LIMIT
from tests.authenticator import USER_PRESENT, Authenticator
from tests.unit.node import apps
from tests.unit.node.apps import PASSWORD
from tests.unit.node.passkeys import LOGIN, PROOF, begin, challenge, confirm, enrol, log_in
from tests.unit.node.test_passkeys import actions, listed


def prove(browser, path, answer, **form):
    return browser.change(path, proof_passkey=json.dumps(answer), **form)


def remove(browser, node, **form):
    passkey_id = node.services.passkeys.list()[0].passkey_id
    return browser.change(f"/console/passkeys/{passkey_id}/remove", **form)


def test_what_the_browser_is_asked_to_make_is_discoverable_verified_and_unattested(node, owner):
    options = begin(owner)
    assert options["rp"]["id"] == "localhost"
    assert [item["alg"] for item in options["pubKeyCredParams"]] == [-8, -7, -257]
    assert options["authenticatorSelection"]["residentKey"] == "required"
    assert options["authenticatorSelection"]["userVerification"] == "required"
    assert options["attestation"] == "none"
    key = enrol(owner)
    again = begin(owner)["excludeCredentials"]
    assert len(again) == 1
    assert confirm(owner, key.make(begin(owner))).status_code == 409


LIES = {
    "another origin": {"origin": "http://evil.example"},
    "another relying party": {"rp_id": "evil.example"},
    "no user verification": {"flags": USER_PRESENT},
    "the ceremony of a login": {"type": "webauthn.get"},
    "a page inside another": {"cross_origin": True},
    "a key of another form than its algorithm": {
        "public_key": Authenticator(algorithm=-7).public_key() | {3: -8}
    },
    "a point that is not on the curve": {
        "public_key": Authenticator(algorithm=-7).public_key() | {-3: bytes(32)}
    },
    "a number instead of a key": {"public_key": 4},
    "a format that nobody asked for": {"statement": {"fmt": "fido-u2f"}},
}


@pytest.mark.parametrize("lie", LIES)
def test_a_passkey_is_not_added_that_tells(node, owner, lie):
    key = Authenticator()
    refused = confirm(owner, key.make(begin(owner), **LIES[lie]))
    assert (refused.status_code, listed(node)) == (400, [])
    assert "Begin again" in refused.text


def test_an_algorithm_that_was_not_offered_is_not_added(node, owner):
    key = Authenticator(algorithm=-47)
    assert confirm(owner, key.make(begin(owner))).status_code == 400
    assert listed(node) == []


def test_what_one_session_was_asked_for_another_cannot_answer(node, owner):
    other = node.browser()
    other.log_in()
    key = Authenticator()
    made = key.make(begin(owner))
    assert confirm(other, made).status_code == 400
    assert confirm(owner, made).status_code == 303
    assert confirm(owner, made).status_code == 400, "it worked once"
    owner.change("/console/sessions/revoke-others")
    other.log_in()
    node.let_time_pass()
    theirs = key.show(challenge(other, PROOF))
    assert prove(owner, "/console/keys", theirs, name="x", scope="inference").status_code == 403


def test_a_name_that_cannot_be_is_refused_before_anything_is_made(node, owner):
    refused = owner.change("/console/passkeys", name="a\u202eb")
    assert refused.status_code == 400
    assert "printable characters" in refused.text


def test_there_is_an_end_to_how_many(node, owner):
    for number in range(LIMIT):
        enrol(owner, f"key {number}")
    assert owner.change("/console/passkeys", name="one more").status_code == 409


@pytest.mark.parametrize("with_factor", [False, True])
def test_a_passkey_is_a_whole_proof(node, owner, with_factor):
    key = enrol(owner)
    if with_factor:
        node.enrol()
    node.let_time_pass()
    page = owner.change("/console/keys", name="mine", scope="inference")
    assert page.status_code == 403
    assert "Use a passkey instead" in page.text
    answer = key.show(challenge(owner, PROOF))
    made = prove(owner, "/console/keys", answer, name="mine", scope="inference")
    assert made.status_code == 201
    assert owner.change("/console/name", owner_name="Grace").status_code == 303, "it holds on"


def test_a_wrong_passkey_changes_nothing_and_is_recorded(node, owner):
    key = enrol(owner)
    node.let_time_pass()
    answer = key.show(challenge(owner, PROOF), flags=USER_PRESENT)
    refused = prove(owner, "/console/keys", answer, name="mine", scope="inference")
    assert refused.status_code == 403
    assert "The passkey was not accepted" in refused.text
    assert (actions(node)[0], node.services.keys.list()) == ("proof_refused", [])
    login = key.show(challenge(node.browser(), LOGIN))
    assert prove(owner, "/console/keys", login, name="x", scope="inference").status_code == 403


def test_the_proof_of_one_session_asks_for_its_csrf_token(node, owner):
    enrol(owner)
    assert owner.post(PROOF).status_code == 403


def test_removing_one_ends_it_and_every_other_session(node, owner):
    key = enrol(owner)
    other = node.browser()
    assert log_in(other, key.show(challenge(other))).status_code == 303
    node.let_time_pass()
    assert remove(owner, node).status_code == 403, "it needs a proof"
    assert listed(node) == ["laptop"]
    assert remove(owner, node, proof_password=PASSWORD).status_code == 303
    assert other.get("/console/").status_code == 303
    browser = node.browser()
    assert log_in(browser, key.show(challenge(browser))).status_code == 401
    assert "passkey_removed" in actions(node)
    gone = owner.change("/console/passkeys/000000000000/remove")
    assert gone.status_code == 404


def test_a_recovery_removes_every_passkey(node, owner):
    key = enrol(owner)
    waiting = challenge(node.browser())
    token, _ = node.services.recovery.mint()
    node.services.recovery.recover(token, "Ada", PASSWORD)
    assert listed(node) == []
    assert log_in(node.browser(), key.show(waiting)).status_code == 401


def test_whoever_listens_on_another_port_of_localhost_cannot_pass_a_passkey_on(node, owner):
    """A page there is answered with its own origin, and can send that as Host as well."""
    key = enrol(owner)
    headers = {"Host": "localhost:6666", "Origin": "http://localhost:6666"}
    browser = node.browser()
    asked = browser.post(LOGIN, Accept="application/json", **headers).get_json()
    answer = key.show(asked, origin=headers["Origin"])
    refused = browser.post("/login/passkey", {"credential": json.dumps(answer)}, **headers)
    assert refused.status_code == 401


def test_a_passkey_works_under_its_own_name_only(tmp_path):
    node = apps.make(tmp_path, host_names=["b3iq.localhost"])
    node.claim()
    owner = node.browser()
    owner.log_in()
    key = enrol(owner)
    headers = {"Host": "b3iq.localhost:8831", "Origin": "http://b3iq.localhost:8831"}
    browser = node.browser()
    asked = browser.post(LOGIN, Accept="application/json", **headers).get_json()
    assert asked["rpId"] == "b3iq.localhost"
    answer = key.show(asked, origin=headers["Origin"])
    refused = browser.post("/login/passkey", {"credential": json.dumps(answer)}, **headers)
    assert refused.status_code == 401
    node.close()

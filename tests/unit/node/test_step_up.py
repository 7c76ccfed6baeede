"""Step-up: a stolen session changes nothing without the password, and no input is lost."""

from __future__ import annotations

import html
import re

import pyotp
import pytest

from b3iq.console.step_up import ACTIONS
from b3iq.node.policy import POLICY
from tests.unit.node.apps import PASSWORD

PROVED = [rule.path for rule in POLICY if rule.step_up]
ADDRESSES = [re.sub(r"<\w+_id>", "000000000000", path) for path in PROVED]


def state(node) -> tuple[object, ...]:
    """Everything that the owner's pages can change."""
    services = node.services
    return (
        services.keys.list(),
        [s.session_id for s in services.sessions.list()],
        services.second_factor.state(),
        services.owners.authenticate("Ada", PASSWORD),
    )


def hidden_fields(text: str) -> list[tuple[str, str]]:
    main = text.split("<main")[1]
    found = re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', main)
    return [(name, html.unescape(value)) for name, value in found]


@pytest.fixture
def stale(node, owner):
    """The owner's browser as a thief finds it: logged in, but not a moment ago."""
    node.let_time_pass()
    return owner


def test_whatever_the_owner_can_change_asks_for_a_proof_but_the_logout():
    changes = {rule.path for rule in POLICY if rule.csrf}
    assert changes - set(PROVED) == {"/logout", "/console/passkeys/challenge"}


def test_every_change_that_asks_for_a_proof_has_its_words_and_nothing_else_has():
    assert set(ACTIONS) == set(PROVED)


@pytest.mark.parametrize("path", ADDRESSES)
def test_a_session_that_is_not_proved_changes_nothing(node, stale, path):
    before = state(node)
    form = {"name": "x", "scope": "inference", "owner_name": "Eve", "new_password": "x" * 12}
    answer = stale.change(path, **form)
    assert answer.status_code == 403
    assert "Confirm that it is you" in answer.text
    assert state(node) == before
    program = stale.post(path, {"csrf_token": stale.csrf_token()}, Accept="application/json")
    assert program.get_json()["error"]["code"] == "step_up_required"


@pytest.mark.parametrize("path", ADDRESSES)
@pytest.mark.parametrize("password", ["", "wrong password here", PASSWORD.upper()])
def test_a_wrong_proof_changes_nothing_not_even_in_a_proved_session(node, owner, path, password):
    before = state(node)
    answer = owner.change(path, proof_password=password, name="x", scope="inference")
    assert answer.status_code == 403
    assert "is wrong" in answer.text
    assert state(node) == before


@pytest.mark.parametrize("path", ADDRESSES)
def test_a_right_proof_without_the_forms_token_changes_nothing(node, stale, path):
    before = state(node)
    answer = stale.post(path, {"proof_password": PASSWORD, "csrf_token": "0" * 64})
    assert answer.status_code == 403
    assert "Confirm that it is you" not in answer.text
    assert state(node) == before
    assert stale.change(path).status_code == 403, "the refused request proved the session"


def test_with_a_second_factor_the_password_alone_is_no_proof(node, stale):
    secret, codes = node.enrol()
    for code in ("", "000000", "wrong-code-here"):
        refused = stale.change(
            "/console/keys",
            name="laptop",
            scope="inference",
            proof_password=PASSWORD,
            proof_code=code,
        )
        assert refused.status_code == 403
    assert node.services.keys.list() == []
    form = {"name": "laptop", "scope": "inference", "proof_password": PASSWORD}
    made = stale.change("/console/keys", **form, proof_code=pyotp.TOTP(secret).now())
    assert made.status_code == 201
    node.let_time_pass()
    again = stale.change("/console/keys", **(form | {"name": "two"}), proof_code=codes[0])
    assert again.status_code == 201


def test_the_proof_goes_on_with_the_form_as_it_was_filled_in(node, stale):
    name = 'notes & "thoughts" <b>'
    form = {"csrf_token": stale.csrf_token(), "name": name, "scope": ["inference", "metrics"]}
    asked = stale.post("/console/keys", form)
    assert asked.headers["cache-control"] == "no-store"
    fields = hidden_fields(asked.text)
    assert ("name", name) in fields
    assert [value for field, value in fields if field == "scope"] == ["inference", "metrics"]
    assert '<form class="fields" method="post" action="/console/keys">' in asked.text
    form = {field: [value for other, value in fields if other == field] for field, _ in fields}
    made = stale.post("/console/keys", form | {"proof_password": PASSWORD})
    assert made.status_code == 201
    (key,) = node.services.keys.list()
    assert (key.name, key.scopes) == (name, ("inference", "metrics"))


def test_the_page_repeats_no_password_and_no_field_that_it_does_not_know(stale):
    asked = stale.change(
        "/console/password",
        new_password="a new secret word",
        new_password_again="a new secret word",
        proof_password="an old secret word",
        action="https://evil.example/",
        next="https://evil.example/",
    )
    assert asked.status_code == 403
    assert "secret word" not in asked.text
    assert "evil.example" not in asked.text
    assert 'name="new_password"' in asked.text


def test_nothing_in_an_address_reaches_the_page_or_leads_away(stale):
    form = {"csrf_token": stale.csrf_token(), "name": "x", "scope": "inference"}
    asked = stale.post("/console/keys?next=//evil.example&action=evil&name=evil", form)
    assert "evil" not in asked.text
    done = stale.post("/console/keys?next=//evil.example", form | {"proof_password": PASSWORD})
    assert "evil" not in done.text
    assert "location" not in done.headers


def test_one_proof_holds_for_the_next_changes(node, stale):
    first = {"name": "one", "scope": "inference", "proof_password": PASSWORD}
    assert stale.change("/console/keys", **first).status_code == 201
    assert stale.change("/console/keys", name="two", scope="inference").status_code == 201
    node.let_time_pass()
    assert stale.change("/console/keys", name="three", scope="inference").status_code == 403


def test_guessing_at_the_proof_is_slowed_like_a_login(node, stale):
    guesses = [
        stale.change("/console/second-factor", proof_password="wrong password here")
        for _ in range(6)
    ]
    assert [guess.status_code for guess in guesses] == [403] * 5 + [429]
    assert int(guesses[5].headers["retry-after"]) > 0
    assert stale.change("/console/second-factor", proof_password=PASSWORD).status_code == 429
    assert node.browser().log_in().status_code == 429


def test_a_session_that_is_ended_while_its_proof_is_read_goes_no_further(node, stale):
    stolen = stale.cookie
    token = stale.csrf_token()
    node.services.sessions.revoke_all()
    thief = node.browser()
    thief.client.set_cookie("b3iq_session", stolen, domain="localhost")
    form = {"csrf_token": token, "proof_password": PASSWORD, "name": "x", "scope": "inference"}
    assert thief.post("/console/keys", form).status_code == 401
    assert node.services.keys.list() == []


def test_reading_needs_no_proof(stale):
    for path in ("/console/", "/console/security", "/v1/receipts"):
        assert stale.get(path).status_code == 200

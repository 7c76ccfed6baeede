"""Login, sessions and forms, as a browser and as an attacker's page send them."""

from __future__ import annotations

import re

import pytest

from b3iq.node.policy import POLICY, PUBLIC
from tests.unit.node.apps import HOST, OWNER, PASSWORD

# Every line of the policy that a session can change something with.
CHANGES = [re.sub(r"<\w+_id>", "000000000000", rule.path) for rule in POLICY if rule.csrf]


def test_a_login_opens_the_console(owner):
    assert owner.get("/console/").status_code == 200


def test_the_cookie_is_kept_from_scripts_and_other_sites(node):
    node.claim()
    cookie = node.browser().log_in().headers["Set-Cookie"]
    assert cookie.startswith("b3iq_session=")
    attributes = {part.strip().lower() for part in cookie.split(";")[1:]}
    assert attributes == {"httponly", "path=/", "samesite=strict"}


def test_a_wrong_password_and_a_wrong_name_get_the_same_answer(node):
    node.claim()
    one = node.browser().log_in("wrong password here")
    other = node.browser().post("/login", {"owner_name": "Eve", "password": PASSWORD})
    assert one.status_code == other.status_code == 401
    assert one.text.replace(OWNER, "") == other.text.replace("Eve", "")
    assert "Set-Cookie" not in one.headers


def test_guessing_is_slowed_and_survives_a_restart(node, tmp_path):
    from tests.unit.node import apps

    node.claim()
    browser = node.browser()
    statuses = [browser.log_in("wrong password here").status_code for _ in range(6)]
    assert statuses == [401] * 5 + [429]
    node.services.database.close()
    restarted = apps.make(tmp_path)
    answer = restarted.browser().log_in()
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) > 0
    restarted.close()


def test_a_guesser_at_another_address_does_not_lock_out_the_console(node):
    node.claim()
    browser = node.browser()
    for _ in range(7):
        browser.client.post(
            "/login",
            data={"owner_name": OWNER, "password": "wrong password here"},
            headers=HOST | {"Origin": "http://localhost:8831"},
            environ_overrides={"REMOTE_ADDR": "203.0.113.9"},
        )
    assert browser.log_in().status_code == 303


def test_a_forwarded_address_does_not_dodge_the_throttle(node):
    node.claim()
    browser = node.browser()
    for number in range(5):
        browser.post(
            "/login", {"owner_name": OWNER, "password": "x"}, X_Forwarded_For=f"1.2.3.{number}"
        )
    assert browser.log_in().status_code == 429


def test_this_machine_is_one_guesser_whatever_address_it_calls_from(node):
    node.claim()
    browser = node.browser()
    for number in range(1, 6):
        browser.client.post(
            "/login",
            data={"owner_name": OWNER, "password": "wrong password here"},
            headers=HOST | {"Origin": "http://localhost:8831"},
            environ_overrides={"REMOTE_ADDR": f"127.0.0.{number}"},
        )
    assert browser.log_in().status_code == 429


def test_a_session_planted_before_the_login_does_not_become_the_owners(node):
    """Session fixation: the cookie always changes, and the planted one is worthless."""
    node.claim()
    attacker = node.browser()
    attacker.log_in()
    planted = attacker.cookie
    victim = node.browser()
    victim.client.set_cookie("b3iq_session", planted, domain="localhost")
    victim.log_in()
    assert victim.cookie != planted
    assert attacker.get("/console/").status_code == 303
    assert victim.get("/console/").status_code == 200


def test_a_logout_ends_the_session_on_the_server(node, owner):
    stolen = owner.cookie
    assert owner.post("/logout", {"csrf_token": owner.csrf_token()}).status_code == 303
    thief = node.browser()
    thief.client.set_cookie("b3iq_session", stolen, domain="localhost")
    assert thief.get("/console/").status_code == 303
    assert thief.get("/v1/receipts", Accept="application/json").status_code == 401


def test_a_key_made_in_the_console_works_and_its_secret_is_shown_once(node, owner):
    form = {"csrf_token": owner.csrf_token(), "name": "laptop", "scope": "inference"}
    made = owner.post("/console/keys", form)
    assert made.status_code == 201
    secret = next(
        word
        for word in made.text.replace("<", " ").replace(">", " ").split()
        if word.startswith("b3iq_local_")
    )
    assert made.headers["cache-control"] == "no-store"
    assert node.services.keys.authenticate(secret).name == "laptop"
    assert secret not in owner.get("/console/").text


@pytest.mark.parametrize("path", CHANGES)
@pytest.mark.parametrize(
    "changes",
    [
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:3000"},
        {"Origin": "http://localhost"},
        {"Origin": "http://localhost:8831.evil.example"},
        {"Origin": ""},
    ],
    ids=str,
)
def test_a_change_asked_for_by_another_site_is_refused(owner, path, changes):
    form = {"csrf_token": owner.csrf_token(), "name": "x", "scope": "inference"}
    assert owner.post(path, form, **changes).status_code == 403
    assert owner.get("/console/").status_code == 200


@pytest.mark.parametrize("path", CHANGES)
@pytest.mark.parametrize("token", [None, "", "0" * 64, "é"])
def test_a_change_without_the_sessions_token_is_refused(owner, path, token):
    form = {"name": "x", "scope": "inference"} | ({} if token is None else {"csrf_token": token})
    assert owner.post(path, form).status_code == 403
    # Nor from what sends no Origin: no browser, but with a stolen cookie.
    assert owner.post(path, form, Origin=None, Sec_Fetch_Site=None).status_code == 403


@pytest.mark.parametrize("path", CHANGES)
def test_the_token_of_another_session_is_refused(node, owner, path):
    other = node.browser()
    other.log_in()
    assert owner.post(path, {"csrf_token": other.csrf_token()}).status_code == 403


@pytest.mark.parametrize("path", CHANGES)
def test_a_change_without_a_session_is_refused(node, path):
    node.claim()
    stranger = node.browser()
    assert stranger.post(path, Accept="application/json").status_code == 401


@pytest.mark.parametrize(
    "changes",
    [{"Origin": "https://evil.example"}, {"Origin": None}, {"Sec_Fetch_Site": "cross-site"}],
    ids=str,
)
def test_another_site_cannot_log_a_browser_in(node, changes):
    node.claim()
    form = {"owner_name": OWNER, "password": PASSWORD}
    answer = node.browser().post("/login", form, **changes)
    assert answer.status_code == 403
    assert "Set-Cookie" not in answer.headers


# What changes something before there is a session, and so before there is a token.
BEFORE = [
    rule.path
    for rule in POLICY
    if "POST" in rule.methods and (PUBLIC in rule.classes or rule.token_in_body)
]


def test_what_changes_something_before_a_session_is_known_to_these_tests():
    passkey = {"/login/passkey", "/login/passkey/challenge"}
    assert set(BEFORE) - passkey == {"/login", "/login/code", "/setup/claim", "/recover/owner"}
    assert passkey < set(BEFORE)


@pytest.mark.parametrize("path", BEFORE)
@pytest.mark.parametrize(
    "changes",
    [
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:3000"},
    ],
    ids=str,
)
def test_before_a_session_nothing_is_changed_for_another_site_either(node, path, changes):
    answer = node.browser().post(path, {"owner_name": OWNER, "password": PASSWORD}, **changes)
    assert answer.status_code == 403
    assert "Set-Cookie" not in answer.headers


def test_every_route_that_a_session_can_change_something_with_has_a_csrf_token():
    unsafe = {
        rule.path
        for rule in POLICY
        if "POST" in rule.methods and "owner" in {access.value for access in rule.classes}
    }
    assert unsafe == {rule.path for rule in POLICY if rule.csrf}

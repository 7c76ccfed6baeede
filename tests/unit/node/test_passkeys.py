"""Passkeys: a real signature opens the console, and everything short of it opens nothing."""

from __future__ import annotations

import json
import re
import threading

import pytest
from sqlalchemy import func, select, update

from b3iq.credentials.passkey_challenges import LIMIT
from b3iq.credentials.relying_party import RelyingParty
from b3iq.store.clock import utc_now
from b3iq.store.tables import passkey, passkey_challenge
from tests.authenticator import USER_PRESENT, USER_VERIFIED, Authenticator, bytes_of, text_of
from tests.unit.node.apps import ORIGIN
from tests.unit.node.passkeys import LOGIN, PROOF, begin, challenge, confirm, enrol, log_in


def actions(node) -> list[str]:
    return [entry.event["action"] for entry in node.services.audit.recent(200)]


def listed(node) -> list[str]:
    return [item.name for item in node.services.passkeys.list()]


def is_in(browser) -> bool:
    return browser.get("/console/").status_code == 200


@pytest.mark.parametrize("algorithm", [-8, -7, -257], ids=["Ed25519", "ES256", "RS256"])
def test_a_passkey_of_each_algorithm_logs_in_by_itself(node, owner, algorithm):
    key = enrol(owner, algorithm=algorithm)
    node.enrol()
    for _ in range(2):
        browser = node.browser()
        assert log_in(browser, key.show(challenge(browser))).status_code == 303
        assert is_in(browser)
    assert actions(node).count("passkey_added") == 1
    assert node.services.passkeys.list()[0].last_used_at is not None


def test_one_without_a_count_works_again_and_again(node, owner):
    key = enrol(owner, counts=False)
    for _ in range(2):
        browser = node.browser()
        assert log_in(browser, key.show(challenge(browser))).status_code == 303


LIES = {
    "the origin of another site": {"origin": "http://evil.example"},
    "another port of the same name": {"origin": "http://localhost:8832"},
    "the same name over TLS": {"origin": "https://localhost:8831"},
    "another relying party": {"rp_id": "evil.example"},
    "a challenge of its own": {"challenge": text_of(bytes(32))},
    "no challenge": {"challenge": ""},
    "a challenge that is no text": {"challenge": 7},
    "a page inside one of another site": {"cross_origin": True},
    "a user who was not verified": {"flags": USER_PRESENT},
    "a user who was not there": {"flags": USER_VERIFIED},
    "the ceremony of an enrolment": {"type": "webauthn.create"},
    "a count that stood still": {"count": 1},
    "a count that went back to nothing": {"count": 0},
    "the handle of another user": {"user_handle": bytes(32)},
}


@pytest.mark.parametrize("lie", LIES)
def test_a_login_is_refused_that_tells(node, owner, lie):
    key = enrol(owner)
    browser = node.browser()
    refused = log_in(browser, key.show(challenge(browser), **LIES[lie]))
    assert refused.status_code == 401
    assert "The passkey was not accepted" in refused.text
    assert not is_in(browser)
    assert actions(node)[0] == "login_refused"
    assert log_in(browser, key.show(challenge(browser))).status_code == 303, "it is not spoilt"


def test_a_tampered_signature_or_message_is_refused(node, owner):
    key = enrol(owner, algorithm=-7)
    for field in ("signature", "authenticator_data", "client_data"):
        browser = node.browser()
        answer = key.show(challenge(browser))
        value = bytearray(bytes_of(answer[field]))
        # Within client data, this changes white space: the text stays valid and means the same.
        place = value.index(b" ") if field == "client_data" else len(value) - 1
        value[place] = 0x0A if field == "client_data" else value[place] ^ 1
        assert log_in(browser, answer | {field: text_of(bytes(value))}).status_code == 401, field
        node.services.throttle.clear("loopback")


def test_an_unknown_passkey_is_refused_in_the_same_words_as_a_known_one(node, owner):
    known = enrol(owner)
    browser = node.browser()
    stranger = Authenticator(user_handle=known.user_handle)
    unknown = log_in(browser, stranger.show(challenge(browser)))
    wrong = log_in(browser, known.show(challenge(browser), origin="http://evil.example"))
    assert (unknown.status_code, unknown.text) == (wrong.status_code, wrong.text)
    taken = Authenticator(user_handle=known.user_handle, credential_id=known.credential_id)
    assert log_in(browser, taken.show(challenge(browser), count=9)).status_code == 401


def test_what_is_asked_at_a_login_does_not_tell_whether_there_is_a_passkey(node, owner):
    browser = node.browser()
    before = challenge(browser) | {"challenge": ""}
    enrol(owner)
    assert challenge(browser) | {"challenge": ""} == before
    assert before["userVerification"] == "required"
    assert not before.get("allowCredentials")


def test_an_answer_works_once_right_or_wrong(node, owner):
    key = enrol(owner)
    browser = node.browser()
    good = key.show(challenge(browser))
    assert log_in(browser, good).status_code == 303
    assert log_in(node.browser(), good).status_code == 401
    asked = challenge(browser)
    assert log_in(browser, key.show(asked, origin="http://evil.example")).status_code == 401
    assert log_in(browser, key.show(asked)).status_code == 401


def test_of_two_that_race_with_one_answer_exactly_one_is_let_in(node, owner):
    key = enrol(owner, counts=False)
    answer = key.show(challenge(node.browser()))
    statuses: list[int] = []
    together = threading.Barrier(4)

    def race() -> None:
        browser = node.browser()
        together.wait()
        statuses.append(log_in(browser, answer).status_code)

    racers = [threading.Thread(target=race) for _ in range(4)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    assert sorted(statuses) == [303, 401, 401, 401]


def test_a_challenge_is_of_no_use_after_five_minutes_or_before_it_was_made(node, owner):
    key = enrol(owner)
    for change in (-301, 3600):
        asked = challenge(node.browser())
        with node.services.database.write() as connection:
            moved = utc_now().timestamp() + change
            at = utc_now().fromtimestamp(moved, tz=utc_now().tzinfo)
            connection.execute(update(passkey_challenge).values(opened_at=at))
        assert log_in(node.browser(), key.show(asked)).status_code == 401


def test_a_challenge_for_one_thing_is_of_no_use_for_another(node, owner):
    key = enrol(owner)
    enrolment = begin(owner)
    asked = {"rpId": "localhost", "challenge": enrolment["challenge"]}
    assert log_in(node.browser(), key.show(asked)).status_code == 401
    assert log_in(node.browser(), key.show(challenge(owner, PROOF))).status_code == 401
    login = challenge(node.browser())
    other = Authenticator()
    made = other.make(begin(owner), challenge=login["challenge"])
    assert confirm(owner, made).status_code == 400
    assert listed(node) == ["laptop"]


def test_a_count_that_goes_back_is_told_to_the_journal(node, owner, caplog):
    key = enrol(owner)
    browser = node.browser()
    assert log_in(browser, key.show(challenge(browser), count=50)).status_code == 303
    assert log_in(node.browser(), key.show(challenge(browser))).status_code == 401
    assert "passkey_count_went_back" in [record.message for record in caplog.records]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{}",
        '{"id": "A", "client_data": "e30", "authenticator_data": "AA", "signature": "AA"}',
        '{"id": "AA", "client_data": "e30", "authenticator_data": "AA", "signature": "AA"}',
        '{"id": "' + "A" * 20_000 + '"}',
        "[" * 10_000,
        "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"),
    ],
)
def test_what_is_no_answer_or_too_long_is_refused(node, owner, text):
    assert log_in(node.browser(), text).status_code == 401


def test_a_field_that_nobody_knows_is_refused(node, owner):
    key = enrol(owner)
    browser = node.browser()
    assert log_in(browser, key.show(challenge(browser)) | {"more": 1}).status_code == 401
    answer = key.show(challenge(browser))
    assert log_in(browser, answer | {"signature": "A" * 1100}).status_code == 401


def test_guesses_with_a_passkey_are_throttled_like_passwords(node, owner):
    owner.change("/logout")
    statuses = [log_in(node.browser(), "{}").status_code for _ in range(7)]
    assert statuses == [401] * 5 + [429] * 2
    assert node.browser().log_in().status_code == 429


def test_whoever_asks_for_challenges_without_end_crowds_out_only_himself(node, owner):
    key = enrol(owner)
    browser = node.browser()
    mine = challenge(browser)
    ask = node.services.passkey_logins.ask_login
    for _ in range(LIMIT + 50):
        ask("192.0.2.1", RelyingParty("localhost", ORIGIN))
    with node.services.database.read() as connection:
        count = connection.execute(select(func.count()).select_from(passkey_challenge))
        assert count.scalar_one() == LIMIT
    assert log_in(browser, key.show(mine)).status_code == 303


@pytest.mark.parametrize("host", ["127.0.0.1:8831", "[::1]:8831"])
def test_under_an_address_the_page_says_why_not_and_what_to_do(node, owner, host):
    headers = {"Host": host, "Origin": f"http://{host}"}
    asked = node.browser().post(LOGIN, **headers, Accept="application/json")
    assert (asked.status_code, asked.get_json()["error"]["code"]) == (400, "passkey_needs_a_name")
    page = node.browser().get("/login", **headers).text
    assert re.search(r"A passkey belongs to a host name.*http://localhost:", page, re.DOTALL)
    assert "passkey.js" not in page


def test_nothing_secret_and_no_challenge_in_the_clear_is_kept(node, owner):
    key = enrol(owner)
    asked = challenge(node.browser())
    with node.services.database.read() as connection:
        (row,) = connection.execute(select(passkey)).all()
        kept = connection.execute(select(passkey_challenge)).all()
    assert (row.rp_id, row.credential_id) == ("localhost", key.credential_id)
    assert asked["challenge"] not in json.dumps([list(map(str, item)) for item in kept])

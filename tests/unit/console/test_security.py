"""The owner's security page, as the owner uses it and as a guesser meets it."""

from __future__ import annotations

import re

import pyotp
import pytest

from b3iq.console import qr
from b3iq.node.browsers import browser_of
from tests.unit.node.apps import OWNER, PASSWORD

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


def secret_of(text: str) -> str:
    found = re.search(r'aria-label="The secret">([A-Z2-7 ]+)<', text)
    assert found
    return found[1].replace(" ", "")


def codes_of(text: str) -> list[str]:
    return re.findall(r"<li><code>([a-z2-9-]+)</code>", text)


def test_the_sessions_are_listed_and_the_one_that_looks_is_marked(node, owner):
    form = {"owner_name": OWNER, "password": PASSWORD}
    node.browser().post("/login", form, User_Agent=FIREFOX)
    text = owner.get("/console/security").text
    assert text.count(">this one</span>") == 1
    assert "Firefox on Linux" in text
    assert text.count('aria-label="End the session') == 1


def test_a_session_is_ended_from_the_list_on_its_next_request(node, owner):
    other = node.browser()
    other.log_in()
    (there,) = re.findall(r"/console/sessions/(\w+)/revoke", owner.get("/console/security").text)
    done = owner.change(f"/console/sessions/{there}/revoke")
    assert done.headers["location"] == "/console/security?notice=session-ended-here"
    assert other.get("/console/").status_code == 303
    assert owner.get("/console/").status_code == 200
    again = owner.change(f"/console/sessions/{there}/revoke")
    assert again.status_code == 404


def test_all_other_sessions_are_ended_at_once(node, owner):
    others = [node.browser() for _ in range(3)]
    for other in others:
        other.log_in()
    owner.change("/console/sessions/revoke-others")
    assert [other.get("/console/").status_code for other in others] == [303] * 3
    assert owner.get("/console/").status_code == 200


def test_from_the_qr_code_to_a_login_with_a_code(node, owner):
    begun = owner.change("/console/second-factor")
    assert begun.headers["cache-control"] == "no-store"
    assert "<svg" in begun.text
    assert node.browser().log_in().status_code == 303, "it is not on yet"
    secret = secret_of(begun.text)
    wrong = owner.change("/console/second-factor/confirm", code="000000")
    assert wrong.status_code == 400
    assert secret_of(wrong.text) == secret
    done = owner.change("/console/second-factor/confirm", code=pyotp.TOTP(secret).now())
    assert (done.status_code, len(codes_of(done.text))) == (201, 10)
    assert done.headers["cache-control"] == "no-store"

    node.let_time_pass()
    browser = node.browser()
    asked = browser.log_in()
    assert asked.status_code == 200
    assert "Set-Cookie" not in asked.headers
    assert browser.get("/console/").status_code == 303
    assert browser.log_in_with_code(pyotp.TOTP(secret).now()).status_code == 303
    assert browser.get("/console/").status_code == 200
    text = owner.get("/console/security").text
    assert secret not in text
    assert not codes_of(text)


def test_a_recovery_code_logs_in_once(node, owner):
    _, codes = node.enrol()
    assert node.browser().log_in_with_code(codes[3]).status_code == 303
    assert node.browser().log_in_with_code(codes[3]).status_code == 401
    assert "9 recovery codes are left" in owner.get("/console/security").text


def test_with_a_second_factor_a_password_guesser_learns_nothing(node, owner):
    """Right and wrong passwords get the same page, and the same words after a wrong code."""
    node.enrol()

    def answers(password: str) -> tuple[int, str, int, str]:
        browser = node.browser()
        first = browser.log_in(password)
        second = browser.log_in_with_code("000000", password)
        varying = r'name="challenge" value="[^"]+"'
        node.services.throttle.clear("loopback")
        return (
            first.status_code,
            re.sub(varying, "", first.text),
            second.status_code,
            re.sub(varying, "", second.text),
        )

    assert answers(PASSWORD) == answers("wrong password here")


def test_guessing_at_the_code_is_slowed_like_a_password(node, owner):
    secret, _ = node.enrol()
    browser = node.browser()
    found = re.search(r'name="challenge" value="([^"]+)"', browser.log_in().text)
    form = {"challenge": found[1], "code": "000000"}
    statuses = [browser.post("/login/code", form).status_code for _ in range(6)]
    # The password's page was the first of the five.
    assert statuses == [401] * 4 + [429] * 2
    last = browser.post("/login/code", form | {"code": pyotp.TOTP(secret).now()})
    assert last.status_code == 429
    assert int(last.headers["retry-after"]) > 0


def test_a_login_with_a_right_password_does_not_clear_the_count(node, owner):
    """Else a guesser at codes who knows the password would never be slowed."""
    node.enrol()
    browser = node.browser()
    statuses = [browser.log_in().status_code for _ in range(6)]
    assert statuses == [200] * 5 + [429]


def test_the_second_factor_is_turned_off_with_its_codes(node, owner):
    node.enrol()
    assert owner.change("/console/second-factor/off", **proof(node)).status_code == 303
    assert node.browser().log_in().status_code == 303


def test_new_recovery_codes_replace_the_old(node, owner):
    _, codes = node.enrol()
    renewed = owner.change("/console/second-factor/codes", **proof(node, codes[0]))
    assert renewed.status_code == 201
    fresh = codes_of(renewed.text)
    assert len(fresh) == 10
    assert not set(fresh) & set(codes)
    assert node.browser().log_in_with_code(codes[1]).status_code == 401
    assert node.browser().log_in_with_code(fresh[0]).status_code == 303


def proof(node, code: str = "") -> dict[str, str]:
    return {
        "proof_password": PASSWORD,
        "proof_code": code or node.services.second_factor.renew_codes()[0],
    }


def test_a_second_factor_that_is_on_is_not_set_up_again(node, owner):
    _, codes = node.enrol()
    answer = owner.change("/console/second-factor", **proof(node, codes[0]))
    assert answer.status_code == 409
    assert node.services.second_factor.state().is_on


def test_another_password_logs_every_other_browser_out(node, owner):
    other = node.browser()
    other.log_in()
    new = "another good password"
    done = owner.change("/console/password", new_password=new, new_password_again=new)
    assert done.status_code == 303
    assert other.get("/console/").status_code == 303
    assert owner.get("/console/").status_code == 200
    assert node.browser().log_in().status_code == 401
    assert node.browser().log_in(new).status_code == 303


@pytest.mark.parametrize(
    ("new", "again", "words"),
    [("short", "short", "12 characters"), ("x" * 12, "y" * 12, "not the same"), ("", "", "12 ")],
)
def test_a_password_that_cannot_be_is_refused_and_not_repeated(node, owner, new, again, words):
    form = {"new_password": new, "new_password_again": again}
    answer = owner.change("/console/password", **form)
    assert answer.status_code == 400
    assert words in answer.text
    assert not new or f'value="{new}"' not in answer.text
    assert node.browser().log_in().status_code == 303


def test_another_name_is_the_one_to_log_in_with(node, owner):
    assert owner.change("/console/name", owner_name="Grace ").status_code == 303
    assert ">Grace</span>" in owner.get("/console/security").text
    assert node.browser().log_in().status_code == 401
    refused = owner.change("/console/name", owner_name="a\u202eb")
    assert refused.status_code == 400
    assert 'id="owner-name-error" class="field-error" role="alert">A name has' in refused.text


@pytest.mark.parametrize("said", ["", "curl/8.9", "<script>alert(1)</script>", "x" * 4000])
def test_a_browser_is_named_in_words_of_the_node_alone(node, said):
    with node.app.test_request_context(headers={"User-Agent": said}) as context:
        assert browser_of(context.request) == "Another program"


def test_the_common_browsers_are_told_apart(node):
    chrome = "Mozilla/5.0 ({}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36"
    for said, named in (
        (FIREFOX, "Firefox on Linux"),
        (chrome.format("Windows NT 10.0"), "Chrome on Windows"),
        (chrome.format("Linux; Android 14"), "Chrome on Android"),
        (chrome.format("Windows NT 10.0") + " Edg/140.0", "Edge on Windows"),
        ("Mozilla/5.0 (iPhone; like Mac OS X) Version/18.0 Safari/604.1", "Safari on iPhone"),
    ):
        with node.app.test_request_context(headers={"User-Agent": said}) as context:
            assert browser_of(context.request) == named


def test_the_qr_code_is_a_square_with_its_three_corners_and_a_light_border():
    code = qr.draw("otpauth://totp/x")
    dark = {tuple(map(int, xy)) for xy in re.findall(r"M(\d+) (\d+)h1v1h-1z", code.path)}
    last = code.size - 1
    for x, y in ((4, 4), (last - 4, 4), (4, last - 4)):
        assert (x, y) in dark
    assert all(4 <= x <= last - 4 and 4 <= y <= last - 4 for x, y in dark)
    assert re.fullmatch(r"(M\d+ \d+h1v1h-1z)+", code.path)

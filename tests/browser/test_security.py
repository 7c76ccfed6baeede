"""The security page: from a second factor to a proof, an ended session and a recovery.

These tests change how the owner logs in, and change it back; they come after all others.
"""

from __future__ import annotations

import re

import pyotp
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Owner, log_in
from tests.browser.looking import accessibility_faults, look


def prove(page: Page, owner: Owner, button: str, code: str | None = None) -> None:
    page.get_by_label("Password", exact=True).fill(owner.password)
    if code is not None:
        page.get_by_label("Code of the app").fill(code)
    page.get_by_role("main").get_by_role("button", name=button).click()


def scanned(page: Page) -> str:
    """The secret as it stands on the page: Chromium on Linux has no reader of QR codes."""
    return page.get_by_label("The secret", exact=True).inner_text().replace(" ", "")


def enrol(page: Page) -> str:
    page.goto("/console/security")
    page.get_by_role("button", name="Set up a second factor").click()
    secret = scanned(page)
    page.get_by_label("Code", exact=True).fill(pyotp.TOTP(secret).now())
    page.get_by_role("button", name="Turn it on").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("The second factor is on")
    return secret


def log_in_with_code(page: Page, owner: Owner, code: str) -> None:
    page.goto("/login")
    page.get_by_label("Your name").fill(owner.name)
    page.get_by_label("Password").fill(owner.password)
    page.get_by_role("button", name="Log in", exact=True).click()
    page.get_by_role("textbox", name="Code").fill(code)
    page.get_by_role("button", name="Log in", exact=True).click()


@pytest.fixture
def without_factor_afterwards(node):
    yield
    node.forget_second_factor()


def test_the_security_page_looks_right_and_can_be_used_without_sight_or_mouse(fresh_console):
    fresh_console.get_by_role("link", name="Security").click()
    expect(fresh_console.get_by_role("heading", level=1)).to_have_text("Security")
    expect(fresh_console.get_by_text("this one", exact=True)).to_be_visible()
    look(fresh_console, "security")
    assert accessibility_faults(fresh_console) == []


@pytest.mark.usefixtures("without_factor_afterwards")
def test_from_the_enrolment_to_a_login_with_a_code_a_proof_and_an_ended_session(
    browser, fresh_console, node, owner, watch
):
    page = fresh_console
    page.goto("/console/security")
    page.get_by_role("button", name="Set up a second factor").click()
    secret = scanned(page)
    watch.secrets.append(secret)
    look(page, "second-factor")
    assert accessibility_faults(page) == []
    watch.expected_statuses.add(400)
    page.get_by_label("Code", exact=True).fill("000000")
    page.get_by_role("button", name="Turn it on").click()
    expect(page.get_by_role("alert")).to_contain_text("not the code")
    assert scanned(page) == secret
    page.get_by_label("Code", exact=True).fill(pyotp.TOTP(secret).now())
    page.get_by_role("button", name="Turn it on").click()
    codes = page.get_by_role("listitem").all_inner_texts()
    assert len(codes) == 10
    watch.secrets += codes
    look(page, "recovery-codes")
    assert accessibility_faults(page) == []
    page.get_by_role("link", name="I have saved them").click()
    look(page, "security-with-second-factor")

    page.get_by_role("button", name="Log out").click()
    node.let_time_pass()
    watch.expected_statuses.add(401)
    log_in_with_code(page, owner, "000000")
    expect(page.get_by_role("alert")).to_contain_text("the password or the code is wrong")
    look(page, "login-code")
    assert accessibility_faults(page) == []
    page.get_by_role("textbox", name="Code").fill(pyotp.TOTP(secret).now())
    page.get_by_role("button", name="Log in", exact=True).click()
    page.wait_for_url("**/console/")

    other = browser.new_context(base_url=node.base_url)
    watch.attach(other)
    log_in_with_code(other.new_page(), owner, codes[0])
    other.pages[0].wait_for_url("**/console/")
    node.let_time_pass()
    watch.expected_statuses.add(403)
    page.goto("/console/security")
    page.get_by_role("button", name=re.compile("^End the session")).first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Confirm that it is you")
    look(page, "step-up")
    assert accessibility_faults(page) == []
    prove(page, owner, "End the session", pyotp.TOTP(secret).now())
    expect(page.get_by_role("status")).to_have_text("The session is ended.")
    # The other was the only one left: turning the factor on had ended those before.
    expect(page.get_by_role("button", name="End all other sessions")).to_have_count(0)
    other.pages[0].goto("/console/")
    other.pages[0].wait_for_url("**/login*")
    other.close()

    page.get_by_role("button", name="Turn it off…").click()
    page.get_by_role("dialog").get_by_role("button", name="Turn it off").click()
    expect(page.get_by_role("status")).to_have_text("The second factor is off.")


def test_a_proof_goes_on_with_the_key_that_was_being_made(fresh_console, node, owner, watch):
    watch.expected_statuses.add(403)
    node.let_time_pass()
    fresh_console.get_by_label("Name", exact=True).fill("after a pause")
    fresh_console.get_by_role("button", name="Make the key").click()
    expect(fresh_console.get_by_label("Password", exact=True)).to_be_focused()
    prove(fresh_console, owner, "Make the key")
    expect(fresh_console.get_by_role("heading", level=1)).to_contain_text("after a pause")


def test_a_wrong_proof_is_refused_and_can_be_tried_again(fresh_console, node, owner, watch):
    watch.expected_statuses.add(403)
    node.let_time_pass()
    fresh_console.goto("/console/security")
    fresh_console.get_by_label("Your name").fill("grace")
    fresh_console.get_by_role("button", name="Change the name").click()
    fresh_console.get_by_label("Password", exact=True).fill("not the password")
    fresh_console.get_by_role("button", name="Change the name").click()
    expect(fresh_console.get_by_role("alert")).to_contain_text("is wrong")
    look(fresh_console, "step-up-refused")
    prove(fresh_console, owner, "Change the name")
    expect(fresh_console.get_by_role("status")).to_contain_text("Your name is changed.")
    fresh_console.get_by_label("Your name").fill(owner.name)
    fresh_console.get_by_role("button", name="Change the name").click()
    expect(fresh_console.get_by_role("status")).to_contain_text("Your name is changed.")


def test_another_password_needs_the_present_one_and_is_the_one_to_log_in_with(
    fresh_console, node, owner
):
    page = fresh_console
    node.let_time_pass()
    page.goto("/console/security")
    for old, new in ((owner.password, "another good password"), (None, owner.password)):
        if old is not None:
            page.get_by_label("Present password").fill(old)
            look(page, "security-unproved")
        page.get_by_label("New password", exact=True).fill(new)
        page.get_by_label("New password again").fill(new)
        page.get_by_role("button", name="Change the password").click()
        expect(page.get_by_role("status")).to_contain_text("Your password is changed.")
    page.get_by_role("button", name="Log out").click()
    log_in(page, owner)


@pytest.mark.usefixtures("without_factor_afterwards")
def test_a_recovery_link_sets_the_password_anew_and_turns_the_second_factor_off(
    fresh_console, page, browser, node, owner, watch
):
    enrol(fresh_console)
    link = node.recovery_url()
    watch.secrets.append(link.split("=", 1)[1])
    context = browser.new_context(base_url=node.base_url)
    watch.attach(context)
    lost = context.new_page()
    lost.goto(link)
    assert lost.url == f"{node.base_url}/recover/"
    look(lost, "recover")
    assert accessibility_faults(lost) == []
    lost.get_by_label("Your name").fill(owner.name)
    lost.get_by_label("New password", exact=True).fill(owner.password)
    lost.get_by_label("New password again").fill(owner.password)
    lost.get_by_role("button", name="Recover the node").click()
    lost.wait_for_url("**/console/")
    fresh_console.goto("/console/")
    fresh_console.wait_for_url("**/login*")
    log_in(fresh_console, owner)

    watch.expected_statuses.add(401)
    lost.goto(link)
    lost.get_by_label("Your name").fill(owner.name)
    lost.get_by_label("New password", exact=True).fill(owner.password)
    lost.get_by_label("New password again").fill(owner.password)
    lost.get_by_role("button", name="Recover the node").click()
    expect(lost.locator("#setup-link-error")).to_contain_text("b3iq recover-owner")
    context.close()

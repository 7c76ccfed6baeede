"""Passkeys in Chromium, with the virtual authenticator that it has for tests (CDP, WebAuthn)."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.looking import accessibility_faults, look


@pytest.fixture
def authenticator(page: Page) -> tuple[object, str]:
    """One that is built in, keeps passkeys, and verifies its user."""
    client = page.context.new_cdp_session(page)
    client.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    made = client.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    return client, made["authenticatorId"]


def verifies(authenticator: tuple[object, str], yes: bool) -> None:
    client, name = authenticator
    what = {"authenticatorId": name, "isUserVerified": yes}
    client.send("WebAuthn.setUserVerified", what)


def test_from_the_enrolment_to_a_login_a_proof_and_the_end_of_a_passkey(
    authenticator, fresh_console, node, watch
):
    page = fresh_console
    page.goto("/console/security")
    look(page, "security-without-passkeys")
    page.get_by_label("Name of the passkey").fill("this laptop")
    page.get_by_role("button", name="Add a passkey").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Add a passkey")
    look(page, "passkey")
    assert accessibility_faults(page) == []
    page.get_by_role("button", name="Make the passkey").click()
    expect(page.get_by_role("status")).to_contain_text("The passkey is added.")
    expect(page.get_by_role("rowheader", name="this laptop")).to_be_visible()
    look(page, "security-with-passkey")
    assert accessibility_faults(page) == []

    page.get_by_role("button", name="Log out").click()
    look(page, "login-with-passkey")
    assert accessibility_faults(page) == []
    verifies(authenticator, False)
    page.get_by_role("button", name="Log in with a passkey").click()
    expect(page.get_by_role("alert")).to_contain_text("No passkey was used")
    look(page, "login-passkey-refused")
    verifies(authenticator, True)
    page.get_by_role("button", name="Log in with a passkey").click()
    page.wait_for_url("**/console/")

    node.let_time_pass()
    watch.expected_statuses.add(403)
    page.get_by_label("Name", exact=True).fill("by passkey")
    page.get_by_role("button", name="Make the key").click()
    look(page, "step-up-with-passkey")
    assert accessibility_faults(page) == []
    page.get_by_role("button", name="Use a passkey instead").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("by passkey")

    page.goto("/console/security")
    page.get_by_role("button", name="Remove the passkey this laptop").click()
    expect(page.get_by_role("status")).to_contain_text("The passkey is removed.")
    page.get_by_role("button", name="Log out").click()
    watch.expected_statuses.add(401)
    page.get_by_role("button", name="Log in with a passkey").click()
    expect(page.get_by_role("alert").first).to_contain_text("The passkey was not accepted.")


def test_without_script_the_login_says_what_is_missing_and_the_password_still_works(
    browser, node, owner
):
    context = browser.new_context(base_url=node.base_url, java_script_enabled=False)
    page = context.new_page()
    page.goto("/login")
    expect(page.get_by_text("Passkeys need JavaScript")).to_be_visible()
    expect(page.get_by_role("button", name="Log in with a passkey")).to_be_disabled()
    page.get_by_label("Your name").fill(owner.name)
    page.get_by_label("Password").fill(owner.password)
    page.get_by_role("button", name="Log in", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    assert page.url.endswith("/console/")
    context.close()

"""The console on another machine's screen, over TLS, in a real browser."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.looking import accessibility_faults, look
from tests.integration.lan_process import claimed_lan_node
from tests.integration.node_process import PASSWORD


@pytest.fixture(scope="module")
def lan_node():
    # The browser calls from the address that the kernel chooses for it.
    with claimed_lan_node("127.0.0.1") as started:
        yield started


@pytest.fixture
def page(lan_node, browser):
    _, lan = lan_node
    # As somebody who has compared the fingerprint in the warning, and went on.
    context = browser.new_context(base_url=lan.base_url, ignore_https_errors=True)
    yield context.new_page()
    context.close()


def test_the_owner_works_over_the_lan_as_on_the_machine(lan_node, page):
    node, lan = lan_node
    page.goto("/")
    page.wait_for_url("**/login")
    page.get_by_label("Your name").fill("Ada")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in", exact=True).click()
    page.wait_for_url("**/console/")
    cookie = next(cookie for cookie in page.context.cookies() if "b3iq" in cookie["name"])
    assert (cookie["name"], cookie["secure"]) == ("__Host-b3iq_session", True)
    fingerprint = node.admin.get("/admin/status")["lan"]["fingerprint_sha256"]
    expect(page.get_by_text(fingerprint)).to_be_visible()
    expect(page.get_by_text(f"{lan.base_url}/v1")).to_be_visible()
    look(page, "console-lan")
    assert accessibility_faults(page) == []
    page.get_by_role("button", name="Log out").click()
    page.wait_for_url("**/login*")


def test_without_a_look_at_the_certificate_no_browser_goes_on(lan_node, browser):
    _, lan = lan_node
    context = browser.new_context()
    with pytest.raises(Exception, match="ERR_CERT_AUTHORITY_INVALID"):
        context.new_page().goto(lan.base_url)
    context.close()

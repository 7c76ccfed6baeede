"""From the setup link to the owner. The tests before the claim come first."""

from __future__ import annotations

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.browser.looking import accessibility_faults, look


@pytest.fixture
def unclaimed(node):
    if httpx.get(f"{node.base_url}/setup/").status_code == 404:
        pytest.skip("the node has its owner already; run this file first, on a fresh node")
    return node


def claim(page: Page, name: str, password: str, again: str) -> None:
    page.get_by_label("Your name").fill(name)
    page.get_by_label("Password", exact=True).fill(password)
    page.get_by_label("Password again").fill(again)
    page.get_by_role("button", name="Claim the node").click()


def test_the_root_of_an_unclaimed_node_leads_to_the_setup(unclaimed, page):
    page.goto("/")
    assert page.url == f"{unclaimed.base_url}/setup/"


def test_the_setup_page_looks_right_and_can_be_used_without_sight_or_mouse(unclaimed, page):
    page.goto(unclaimed.setup_url())
    expect(page.get_by_label("Setup link")).to_be_hidden()
    look(page, "setup")
    assert accessibility_faults(page) == []


def test_opened_without_a_token_the_setup_asks_for_the_link(unclaimed, page):
    page.goto("/setup/")
    expect(page.get_by_label("Setup link")).to_be_visible()
    look(page, "setup-without-link")
    assert accessibility_faults(page) == []


def test_each_mistake_is_named_beside_its_field_and_nothing_is_sent(unclaimed, page, watch):
    page.goto("/setup/")
    claim(page, " ", "short", "other")
    expect(page.locator("#setup-link-error")).to_contain_text("Paste the whole link")
    expect(page.locator("#owner-name-error")).to_have_text("Choose a name.")
    expect(page.locator("#password-error")).to_have_text("Use at least 12 characters.")
    expect(page.locator("#password-again-error")).to_contain_text("not the same")
    expect(page.locator("#setup-link")).to_be_focused()
    look(page, "setup-mistakes")
    assert [r for r in watch.requests if r.method == "POST"] == []


def test_the_strength_of_a_password_is_said_in_words_while_it_is_typed(unclaimed, page):
    page.goto("/setup/")
    strength = page.locator("#password-strength")
    page.get_by_label("Password", exact=True).fill("elevenchars")
    expect(strength).to_have_text("1 more character needed.")
    page.get_by_label("Password", exact=True).fill("aaaaaaaaaaaaaaaa")
    expect(strength).to_contain_text("easy to guess")
    page.get_by_label("Password", exact=True).fill("some unrelated words")
    expect(strength).to_have_text("Good: long.")


def test_a_wrong_setup_link_is_refused_and_the_form_asks_for_another(unclaimed, page, watch):
    watch.expected_statuses.add(401)
    page.goto("/setup/#token=b3iq_setup_wrong")
    assert page.url == f"{unclaimed.base_url}/setup/"
    claim(page, "ada", "correct horse battery staple", "correct horse battery staple")
    expect(page.locator("#setup-link-error")).to_contain_text("b3iq setup-url")
    expect(page.get_by_label("Setup link")).to_be_focused()
    assert page.get_by_label("Your name").input_value() == "ada"


def test_a_link_pasted_by_hand_reaches_the_same_check(unclaimed, page, watch):
    watch.expected_statuses.add(401)
    replaced = unclaimed.setup_url()
    unclaimed.setup_url()
    page.goto("/setup/")
    page.get_by_label("Setup link").fill(replaced)
    claim(page, "ada", "correct horse battery staple", "correct horse battery staple")
    expect(page.locator("#setup-link-error")).to_contain_text("used, expired or wrong")


def test_without_scripts_the_setup_says_why_it_needs_one_and_sends_nothing(
    unclaimed, browser, watch
):
    context = browser.new_context(base_url=unclaimed.base_url, java_script_enabled=False)
    watch.attach(context)
    page = context.new_page()
    page.goto("/setup/")
    expect(page.get_by_text("Setup needs JavaScript.")).to_be_visible()
    expect(page.get_by_role("button", name="Claim the node")).to_be_disabled()
    look(page, "setup-without-scripts")
    context.close()


def test_the_setup_link_makes_the_owner_and_lands_in_the_console(owner, node):
    assert httpx.get(f"{node.base_url}/setup/").status_code == 404


def test_a_used_setup_link_says_so_and_leads_to_the_login(owner, node, page, watch):
    watch.expected_statuses.add(404)
    watch.secrets.append(owner.setup_url.split("=", 1)[1])
    page.goto(owner.setup_url)
    assert page.url == f"{node.base_url}/setup/"
    expect(page.get_by_role("heading", level=1)).to_have_text("This node already has its owner")
    look(page, "claimed")
    assert accessibility_faults(page) == []
    page.get_by_role("link", name="Log in").click()
    page.wait_for_url("**/login")

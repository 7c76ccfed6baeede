"""Login, logout and what a visitor without a session gets."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.looking import accessibility_faults, look


def test_the_root_leads_a_stranger_to_the_login(owner, node, page):
    page.goto("/")
    assert page.url == f"{node.base_url}/login"
    look(page, "login")
    assert accessibility_faults(page) == []


def test_a_wrong_password_is_refused_without_saying_which_part_was_wrong(owner, page, watch):
    watch.expected_statuses.add(401)
    said = []
    for name in (owner.name, "somebody"):
        page.goto("/login")
        page.get_by_label("Your name").fill(name)
        page.get_by_label("Password").fill("not the password at all")
        page.get_by_role("button", name="Log in", exact=True).click()
        expect(page.get_by_role("alert")).to_have_text("The name or the password is wrong.")
        expect(page.get_by_label("Password")).to_be_focused()
        assert page.get_by_label("Password").input_value() == ""
        said.append(page.get_by_role("alert").inner_text())
    look(page, "login-refused")
    assert accessibility_faults(page) == []
    assert said[0] == said[1]


def test_after_the_logout_the_console_asks_for_the_login_again(fresh_console, watch):
    cookies = fresh_console.context.cookies()
    fresh_console.get_by_role("button", name="Log out").click()
    fresh_console.wait_for_url("**/login*")
    expect(fresh_console.get_by_role("status")).to_have_text("You are logged out.")
    look(fresh_console, "logged-out")
    # The cookie as it was, from somebody who kept it: the session is over on the server.
    fresh_console.context.add_cookies(cookies)
    fresh_console.goto("/console/")
    fresh_console.wait_for_url("**/login*")


def test_an_ended_session_says_that_nothing_was_changed(console, watch):
    watch.expected_statuses.add(401)
    console.get_by_label("Name", exact=True).fill("never made")
    console.context.clear_cookies()
    console.get_by_role("button", name="Make the key").click()
    expect(console.get_by_role("status")).to_contain_text("session has ended")
    expect(console.get_by_role("status")).to_contain_text("Nothing was changed")


def test_the_login_works_with_the_keyboard_alone(owner, page):
    page.goto("/login")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.get_by_label("Your name").focus()
    page.keyboard.type(owner.name)
    page.keyboard.press("Tab")
    page.keyboard.type(owner.password)
    page.keyboard.press("Enter")
    page.wait_for_url("**/console/")


def test_the_session_cookie_is_out_of_reach_of_scripts_and_other_sites(console):
    (cookie,) = console.context.cookies()
    assert cookie["httpOnly"]
    assert cookie["sameSite"] == "Strict"
    assert console.evaluate("document.cookie") == ""


@pytest.mark.parametrize("path", ["/nothing-here", "/console/nothing-here"])
def test_an_address_that_is_no_page_says_so_in_html(console, watch, path):
    watch.expected_statuses.add(404)
    answer = console.goto(path)
    assert answer.status == 404
    expect(console.get_by_role("heading", level=1)).to_have_text("There is no such page")
    look(console, "not-found")
    assert accessibility_faults(console) == []

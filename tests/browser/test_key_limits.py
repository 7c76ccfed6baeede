"""Limits and a new secret for a key, as the owner sees and sets them."""

from __future__ import annotations

import openai
import pytest
from playwright.sync_api import Page, expect

from tests.browser.looking import accessibility_faults, look
from tests.browser.test_console import key_row, make_key, stream


def change(page: Page, name: str) -> None:
    page.goto("/console/")
    page.get_by_role("link", name=name, exact=True).click()
    expect(page.get_by_role("heading", name=f"The key “{name}”")).to_be_visible()


def test_a_key_is_made_with_limits_that_hold(console, node, watch):
    console.get_by_text("Limits (optional)").click()
    console.get_by_label("Requests a minute").fill("2")
    look(console, "console-limits")
    assert accessibility_faults(console) == []
    secret = make_key(console, "limited")
    watch.secrets.append(secret)
    assert stream(node.base_url, secret)
    assert stream(node.base_url, secret)
    with pytest.raises(openai.RateLimitError):
        stream(node.base_url, secret)
    console.goto("/console/")
    expect(key_row(console, "limited")).to_contain_text("2 requests/min")


def test_a_limit_that_cannot_be_is_said_beside_its_field_and_can_be_corrected(console, watch):
    watch.expected_statuses.add(400)
    make_key(console, "corrected")
    change(console, "corrected")
    console.get_by_label("Client addresses").fill("my laptop")
    console.get_by_role("button", name="Save the limits").click()
    expect(console.get_by_role("alert")).to_contain_text("Write addresses as")
    look(console, "key-refused")
    assert accessibility_faults(console) == []
    console.get_by_label("Client addresses").fill("192.0.2.0/24")
    console.get_by_role("button", name="Save the limits").click()
    expect(console.get_by_role("status")).to_have_text("The limits of the key are changed.")
    expect(key_row(console, "corrected")).to_contain_text("from 192.0.2.0/24")


def test_a_new_secret_takes_the_place_of_the_old_one(console, node, watch):
    old = make_key(console, "rotated")
    change(console, "rotated")
    look(console, "key")
    assert accessibility_faults(console) == []
    console.get_by_role("button", name="Make a new secret").click()
    new = console.locator("#new-key").inner_text().strip()
    watch.secrets += [old, new]
    assert new != old
    assert stream(node.base_url, new)
    with pytest.raises(openai.AuthenticationError):
        stream(node.base_url, old)

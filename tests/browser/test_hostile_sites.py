"""What other sites, other names and hostile input try against the owner's pages."""

from __future__ import annotations

from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import expect

from tests.browser.looking import accessibility_faults, look

EVIL = "http://evil.test/"


@pytest.fixture
def hostile_site(browser, session_cookies):
    """Opens a page of another site in the browser that the owner is logged in with."""
    context = browser.new_context()
    context.add_cookies(session_cookies)
    page = context.new_page()

    def show(html: str):
        context.route(EVIL, lambda route: route.fulfill(body=html, content_type="text/html"))
        page.goto(EVIL)
        return page

    yield show
    context.close()


def keys_shown(page, node) -> str:
    page.goto(f"{node.base_url}/console/")
    return page.get_by_role("region", name="Local keys").inner_text()


def test_a_rebound_name_gets_a_refusal_and_no_page(browser, node):
    port = urlsplit(node.base_url).port
    page = browser.new_page()
    answer = page.goto(f"http://rebound.test:{port}/login")
    assert answer.status == 421
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    assert page.locator("form").count() == 0
    look(page, "wrong-name")
    assert accessibility_faults(page) == []
    page.close()


def test_a_form_on_another_site_makes_no_key(hostile_site, node):
    page = hostile_site(
        f'<form method="post" action="{node.base_url}/console/keys">'
        '<input name="name" value="forged"><input name="scope" value="inference">'
        "<button>Win a prize</button></form>"
    )
    with page.expect_navigation() as navigation:
        page.get_by_role("button").click()
    assert navigation.value.status in {401, 403}
    assert "forged" not in keys_shown(page, node)


def test_a_form_on_another_site_logs_nobody_in(hostile_site, node, owner):
    page = hostile_site(
        f'<form method="post" action="{node.base_url}/login">'
        f'<input name="owner_name" value="{owner.name}">'
        f'<input name="password" value="{owner.password}"><button>Go</button></form>'
    )
    with page.expect_navigation() as navigation:
        page.get_by_role("button").click()
    assert navigation.value.status == 403


def test_a_script_on_another_site_reads_and_changes_nothing(hostile_site, node):
    page = hostile_site("<title>evil</title>")
    outcome = page.evaluate(
        """async (base) => {
          const tries = [["/console/", "GET"], ["/console/keys", "POST"], ["/setup/claim", "POST"]];
          return Promise.all(tries.map(([path, method]) =>
            fetch(base + path, { method, credentials: "include" })
              .then(() => "read", () => "refused")
          ));
        }""",
        node.base_url,
    )
    assert outcome == ["refused"] * 3


def test_another_site_cannot_put_the_login_into_a_frame(hostile_site, node):
    page = hostile_site(f'<iframe src="{node.base_url}/login"></iframe>')
    page.wait_for_timeout(500)
    assert all("Log in" not in frame.content() for frame in page.frames)


def test_a_key_named_as_markup_is_shown_as_text(console, watch):
    name = "<img src=x onerror=alert(1)>"
    console.on("dialog", lambda dialog: pytest.fail("a script ran"))
    console.get_by_label("Name", exact=True).fill(name)
    console.get_by_role("button", name="Make the key").click()
    expect(console.get_by_role("heading", level=1)).to_contain_text(name)
    console.goto("/console/")
    expect(console.get_by_role("rowheader", name=name)).to_be_visible()
    assert console.locator("img[src=x]").count() == 0


def test_an_inline_script_does_not_run_in_the_console(console, watch):
    console.evaluate(
        """() => {
          const script = document.createElement("script");
          script.textContent = "document.title = 'taken over'";
          document.body.append(script);
        }"""
    )
    assert console.title() != "taken over"
    assert any("Content Security Policy" in text for text in watch.complaints)
    watch.complaints.clear()


def test_every_page_carries_the_headers_that_confine_it(owner, node):
    for path in ("/login", "/setup/", "/nothing-here", "/static/base.css"):
        headers = httpx.get(node.base_url + path, headers={"accept": "text/html"}).headers
        assert headers["content-security-policy"].startswith(
            "default-src 'none'; script-src 'self'"
        )
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cross-origin-opener-policy"] == "same-origin"
    assert httpx.get(f"{node.base_url}/login").headers["cache-control"] == "no-store"

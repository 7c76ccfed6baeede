"""Headers and caching of pages and static files."""

from __future__ import annotations

import pytest
from flask import Flask

from b3iq.console import assets, render
from b3iq.console.login_page import login_page


@pytest.fixture
def client():
    app = Flask("console-test", static_folder=None)
    app.add_url_rule("/static/<path:filename>", view_func=assets.static_file)
    app.add_url_rule("/claimed", "claimed", lambda: render.page("claimed.html", 404))
    app.add_url_rule(
        "/login",
        "login",
        lambda: login_page(owner_name='"><script>'),
    )
    app.after_request(render.harden)
    return app.test_client()


def test_a_page_allows_only_the_nodes_own_files(client):
    assert client.get("/claimed").headers["content-security-policy"] == (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    )


def test_a_page_is_kept_by_no_cache_and_sends_no_referrer_to_others(client):
    headers = client.get("/claimed").headers
    assert headers["cache-control"] == "no-store"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cross-origin-opener-policy"] == "same-origin"


def test_a_page_keeps_its_status(client):
    assert client.get("/claimed").status_code == 404


def test_what_a_visitor_typed_is_escaped(client):
    body = client.get("/login").get_data(as_text=True)
    assert '"><script>' not in body
    assert "&#34;&gt;&lt;script&gt;" in body


def test_a_static_file_at_its_present_address_may_be_kept_for_ever(client):
    answer = client.get(assets.static_url("base.css"))
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.headers["content-type"].startswith("text/css")
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("query", ["", "?v=0000000000000000"])
def test_a_static_file_at_any_other_address_is_asked_for_again(client, query):
    answer = client.get(f"/static/base.css{query}")
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["etag"]


@pytest.mark.parametrize(
    "name", ["nothing.css", "../render.py", "..%2frender.py", "%2e%2e/render.py", "/etc/passwd", ""]
)
def test_nothing_but_the_static_files_is_served(client, name):
    assert client.get(f"/static/{name}").status_code in {404, 308}
    assert client.get(f"/static/{name}", follow_redirects=True).status_code == 404


def test_a_template_that_lacks_a_name_fails_instead_of_showing_a_gap(client):
    with pytest.raises(Exception, match="undefined"):
        render.page("error.html")


def test_a_static_file_that_does_not_exist_has_no_address():
    with pytest.raises(KeyError):
        assets.static_url("nothing.css")

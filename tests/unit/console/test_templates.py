"""The templates hold nothing that the content security policy would have to allow."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import b3iq.console

CONSOLE = Path(b3iq.console.__file__).parent
TEMPLATES = sorted((CONSOLE / "templates").glob("*.html"))
STATIC = sorted(path for path in (CONSOLE / "static").iterdir() if path.is_file())


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_a_template_has_no_inline_script_style_or_event_handler(path):
    text = path.read_text()
    assert not re.search(r"<style|<script(?![^>]*\bsrc=)|javascript:", text, re.IGNORECASE)
    assert not re.search(r"""\s(style|on[a-z]+)\s*=\s*["']""", text, re.IGNORECASE)


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_a_template_marks_nothing_as_safe(path):
    assert not re.search(r"\|\s*safe|autoescape\s+false", path.read_text())


@pytest.mark.parametrize("path", TEMPLATES + STATIC, ids=lambda path: path.name)
def test_a_page_names_no_address_outside_the_node(path):
    found = re.findall(
        r"""(?:src|href|action|url\(|fetch\()\s*=?\s*["'(]*(https?:)?//""", path.read_text()
    )
    assert not found


# No session yet: the policy checks Origin and Sec-Fetch-Site.
WITHOUT_SESSION = {
    "/login",
    "/login/code",
    "/login/passkey",
    # What the two pages that include _owner_form.html give it; see the test below.
    "{{ link.action }}",
}


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_every_form_that_changes_state_carries_the_csrf_token(path):
    forms = re.findall(r'<form[^>]*action="([^"]*)"[^>]*>(.*?)</form>', path.read_text(), re.DOTALL)
    assert len(forms) == path.read_text().count("<form")
    for action, form in forms:
        assert action in WITHOUT_SESSION or 'name="csrf_token"' in form, form


def test_the_owners_form_is_for_who_has_no_session_yet():
    given = {
        path.name: re.findall(r'"action": "([^"]+)"', path.read_text())
        for path in TEMPLATES
        if "_owner_form.html" in path.read_text()
    }
    assert given == {"setup.html": ["/setup/claim"], "recover.html": ["/recover/owner"]}


def test_every_static_file_that_a_template_names_exists_and_none_is_unused():
    named = {
        name for path in TEMPLATES for name in re.findall(r"static\('([^']+)'\)", path.read_text())
    }
    assert named == {path.name for path in STATIC}

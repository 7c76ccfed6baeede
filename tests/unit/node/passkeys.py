"""A browser with an authenticator, on the pages that deal with passkeys."""

from __future__ import annotations

import html
import json
import re
from typing import Any

from werkzeug.test import TestResponse

from tests.authenticator import Authenticator
from tests.unit.node.apps import Browser

LOGIN, PROOF = "/login/passkey/challenge", "/console/passkeys/challenge"


def begin(browser: Browser, name: str = "laptop") -> dict[str, Any]:
    """The options on the page that makes a passkey."""
    asked = browser.change("/console/passkeys", name=name)
    found = re.search(r'data-options="([^"]+)"', asked.text)
    assert found, asked.status_code
    return dict(json.loads(html.unescape(found[1])))


def confirm(browser: Browser, answer: object, name: str = "laptop") -> TestResponse:
    return browser.change("/console/passkeys/confirm", name=name, credential=json.dumps(answer))


def enrol(browser: Browser, name: str = "laptop", **kind: Any) -> Authenticator:
    key = Authenticator(**kind)
    assert confirm(browser, key.make(begin(browser, name)), name).status_code == 303
    return key


def challenge(browser: Browser, path: str = LOGIN) -> dict[str, Any]:
    """What the page's script is told to ask the browser for."""
    form = {} if path == LOGIN else {"csrf_token": browser.csrf_token()}
    answer = browser.post(path, form, Accept="application/json")
    assert answer.status_code == 200, answer.text
    return dict(answer.get_json())


def log_in(browser: Browser, answer: object) -> TestResponse:
    said = answer if isinstance(answer, str) else json.dumps(answer)
    response: TestResponse = browser.post("/login/passkey", {"credential": said})
    return response

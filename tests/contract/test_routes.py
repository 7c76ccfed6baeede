"""The policy table is the application: every route by method by credential class.

A route that somebody adds and forgets to protect is the classic hole of a web
application. Here it is a failing test (and, at run time, a 404).
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from b3iq.credentials import tokens
from b3iq.node.policy import ADMIN, LOCAL_KEY, OWNER, POLICY, PUBLIC, SETUP_TOKEN, Rule
from tests.unit.node import apps
from tests.unit.node.apps import HOST, ORIGIN, PASSWORD, Node, bearer

DOMAIN = {
    # What a stranger's reader of the contract expects of the local API.
    ("GET", "/health"): {PUBLIC},
    ("GET", "/setup/"): {PUBLIC},
    ("POST", "/setup/claim"): {SETUP_TOKEN},
    ("GET", "/metrics"): {LOCAL_KEY, OWNER},
    ("GET", "/openapi.json"): {OWNER},
    ("GET", "/v1/models"): {LOCAL_KEY, SETUP_TOKEN, OWNER},
    ("POST", "/v1/chat/completions"): {LOCAL_KEY},
    ("GET", "/v1/model-profiles"): {SETUP_TOKEN, OWNER},
    ("GET", "/v1/receipts"): {SETUP_TOKEN, OWNER},
}
LINES = [(rule, method) for rule in POLICY for method in sorted(rule.methods)]
# Statuses of the gate; anything else means that the request reached the view.
GATE = {401, 403, 404, 405, 421}
HOLDERS = ["nobody", "key", "narrow key", "revoked key", "setup token", "owner", "gateway key"]


def named(value: object) -> str | None:
    if isinstance(value, Rule):
        return value.path
    return value if isinstance(value, str) else None


@pytest.fixture(scope="module")
def unclaimed(tmp_path_factory):
    node = apps.make(tmp_path_factory.mktemp("unclaimed"))
    yield node
    node.close()


@pytest.fixture(scope="module")
def claimed(tmp_path_factory):
    node = apps.make(tmp_path_factory.mktemp("claimed"))
    node.claim()
    yield node
    node.close()


def test_the_routes_of_the_application_are_the_lines_of_the_table(claimed):
    routes = {
        (rule.rule, method)
        for rule in claimed.app.url_map.iter_rules()
        for method in rule.methods or set()
        if not (method == "HEAD" and "GET" in (rule.methods or set()))
    }
    assert routes == {(rule.path, method) for rule, method in LINES}


def test_no_route_and_method_stands_twice_in_the_table():
    assert len({(rule.path, method) for rule, method in LINES}) == len(LINES)


def test_the_local_api_is_as_the_contract_lists_it():
    listed = {
        (method, rule.path): set(rule.classes)
        for rule, method in LINES
        if (method, rule.path) in DOMAIN
    }
    assert listed == DOMAIN


def test_the_architecture_of_access_is_closed():
    """No line mixes the administrator with anybody, and public lines change nothing else."""
    for rule in POLICY:
        assert rule.classes
        assert rule.classes == {ADMIN} or ADMIN not in rule.classes
        assert rule.classes == {PUBLIC} or PUBLIC not in rule.classes
        if PUBLIC in rule.classes and "POST" in rule.methods:
            assert rule.path in {
                "/login",
                "/login/code",
                "/login/passkey",
                "/login/passkey/challenge",
            }
        if LOCAL_KEY in rule.classes:
            assert rule.scope in {"inference", "metrics"}


def test_no_module_registers_a_route_around_the_factory():
    """`before_request` guards one application; a second one would have no gate."""
    package = Path(apps.__file__).parents[3] / "app" / "b3iq"
    for part in ("node", "console"):
        for path in (package / part).rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            assert "Blueprint" not in text, path
            assert path.name == "factory.py" or not re.search(r"\bFlask\(", text), path


def address(rule: Rule) -> str:
    """An address of the route, of nothing that exists but a static file."""
    return re.sub(r"<\w+_id>", "000000000000", rule.path).replace("<path:filename>", "base.css")


def ask(node: Node, rule: Rule, method: str, holder: str) -> int:
    """One request of one holder; forms carry what the owner's pages would send."""
    path = address(rule)
    headers = dict(HOST)
    browser = node.browser()
    if holder == "owner":
        browser.client.set_cookie("b3iq_session", owner_cookie(node), domain="localhost")
    elif holder != "nobody":
        headers = bearer(secret_of(node, holder, rule))
    form = {"csrf_token": csrf_token(node)} if holder == "owner" and rule.csrf else {}
    if method == "POST" and rule.form == "page":
        headers["Origin"] = ORIGIN
    what = (
        {"json": {}}
        if path.startswith(("/v1/", "/setup/claim", "/recover/owner"))
        else {"data": form}
    )
    if method == "GET":
        what = {}
    return browser.client.open(path, method=method, headers=headers, **what).status_code


def owner_cookie(node: Node) -> str:
    return node.services.sessions.open(node.services.owners.authenticate(apps.OWNER, PASSWORD))


def csrf_token(node: Node) -> str:
    # Of another session: enough to pass from 401 to the CSRF refusal, never further.
    return node.services.sessions.authenticate(owner_cookie(node)).csrf_token


def secret_of(node: Node, holder: str, rule: Rule) -> str:
    if holder == "gateway key":
        return tokens.mint("gateway").text
    if holder == "setup token":
        return tokens.mint("setup").text if node.services.owners.is_claimed() else node.mint()
    right = rule.scope or "inference"
    wrong = "metrics" if right == "inference" else "inference"
    key, secret = node.services.keys.create(holder, [wrong if holder == "narrow key" else right])
    if holder == "revoked key":
        node.services.keys.revoke(key.key_id)
    return secret


def expected(rule: Rule, holder: str, *, is_claimed: bool) -> set[int] | None:
    """The gate's statuses that fit; None: the view is reached."""
    if ADMIN in rule.classes:
        return {404}
    if PUBLIC in rule.classes or rule.token_in_body:
        return None
    if holder in {"nobody", "revoked key", "gateway key"}:
        return {401}
    if holder == "setup token":
        if is_claimed:
            return {401}
        return None if SETUP_TOKEN in rule.classes else {403}
    if holder == "owner":
        if OWNER not in rule.classes:
            return {401}
        return {403} if rule.csrf else None
    if LOCAL_KEY not in rule.classes or holder == "narrow key":
        return {403}
    return None


@pytest.mark.parametrize("holder", HOLDERS)
@pytest.mark.parametrize(("rule", "method"), LINES, ids=named)
def test_a_claimed_node_answers_each_class_as_listed(claimed, rule, method, holder):
    status = ask(claimed, rule, method, holder)
    refusals = expected(rule, holder, is_claimed=True)
    if refusals is None:
        # The views' own: wrong login 401, setup over 404, no such key 404.
        own = {
            "/login": {401},
            "/login/code": {401},
            "/login/passkey": {401},
            "/setup/": {404},
            "/setup/claim": {400},
            "/console/keys/<key_id>": {404},
        }.get(rule.path, set())
        assert status not in GATE - own
    else:
        assert status in refusals


@pytest.mark.parametrize("holder", [h for h in HOLDERS if h != "owner"])
@pytest.mark.parametrize(("rule", "method"), LINES, ids=named)
def test_an_unclaimed_node_answers_each_class_as_listed(unclaimed, rule, method, holder):
    status = ask(unclaimed, rule, method, holder)
    refusals = expected(rule, holder, is_claimed=False)
    if refusals is None:
        own = {401} if rule.path in {"/login", "/login/code", "/login/passkey"} else set()
        assert status not in GATE - own
    else:
        assert status in refusals


@pytest.mark.parametrize(("rule", "method"), LINES, ids=named)
def test_the_administrators_socket_answers_its_own_lines_only(claimed, rule, method):
    path = address(rule)
    answer = claimed.admin(path, method, json={} if method == "POST" else None)
    if ADMIN not in rule.classes:
        assert answer.status_code == 404
        return
    reached = answer.status_code not in GATE
    # Past the gate these views find no key, no session, and a node that is claimed already.
    code = (answer.get_json().get("error") or {}).get("code")
    assert reached or (path, code) in {
        ("/admin/keys/000000000000/revoke", "key_not_found"),
        ("/admin/keys/000000000000/rotate", "key_not_found"),
        ("/admin/keys/000000000000/limits", "key_not_found"),
        ("/admin/sessions/000000000000/revoke", "session_not_found"),
        ("/admin/setup-token", "not_found"),
    }

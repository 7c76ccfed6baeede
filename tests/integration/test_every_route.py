"""The policy table holds on the wire: every route by method by credential class."""

from __future__ import annotations

from pathlib import Path

import pytest

from b3iq.node.policy import find
from tests.integration.boundary import (
    METHODS,
    PATHS,
    STRANGERS,
    Caller,
    Holders,
    concrete,
    expected,
    sweep,
)
from tests.integration.node_process import node_process

# A node with a hole: its receipts are for everybody, whatever the table says.
WITH_A_HOLE = """
from b3iq.node import gate, main, policy
from b3iq.node.principal import Principal, authenticate

def careless(rule, request, node):
    open_by_mistake = rule.path == "/v1/receipts"
    return Principal("public") if open_by_mistake else authenticate(rule, request, node)

gate.authenticate = careless
main.main()
"""
# Notes whatever would start another program; gunicorn forks its worker by `os.fork`.
WATCHED = """
import os, sys
from b3iq.node import main

STARTS = {"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.forkpty",
          "pty.spawn"}
state = sys.argv[sys.argv.index("--paths") + 1]
notes = os.open(state + "/started", os.O_WRONLY | os.O_CREAT, 0o600)

def note(event, arguments):
    if event in STARTS:
        os.write(notes, event.encode() + b"\\n")

sys.addaudithook(note)
os.system("true")
main.main()
"""


@pytest.fixture(scope="module")
def unclaimed():
    with node_process() as node:
        node.start()
        yield Holders(node, claimed=False)


@pytest.fixture(scope="module")
def claimed():
    with node_process() as node:
        node.program = ["-c", WATCHED]
        node.start()
        with node.client() as client:
            assert node.claim(client).status_code == 201
        yield Holders(node, claimed=True)


@pytest.fixture(params=["unclaimed", "claimed"])
def holders(request):
    return request.getfixturevalue(request.param)


@pytest.mark.timeout(300)
def test_every_route_answers_every_method_and_class_as_the_table_says(holders):
    tally = sweep(holders)
    assert tally.wrong == []
    assert tally.total == len(PATHS) * len(METHODS) * len(holders.names)
    print(f"\n{tally.total} cases, {sum(map(tally.opened, holders.names))} opened")


def test_a_route_that_is_open_by_mistake_is_found():
    with node_process() as node:
        node.program = ["-c", WITH_A_HOLE]
        node.start()
        wrong = sweep(Holders(node, claimed=False), ["/v1/receipts", "/v1/model-profiles"]).wrong
    assert "GET /v1/receipts as nobody: 200, expected 401" in wrong
    assert not [case for case in wrong if "/v1/receipts" not in case]


def test_no_route_runs_a_command_for_anybody(claimed):
    """The first line is the watcher's own, which shows that it sees."""
    sweep(claimed)
    started = (Path(claimed.node.state) / "started").read_text().split()
    assert started == ["os.system"]


def test_a_stranger_opens_what_is_open_to_everybody_and_nothing_else(holders):
    """Guards the first test: what it expects of strangers is said here in other words."""
    open_to_all = {
        "/",
        "/health",
        "/login",
        "/login/code",
        "/login/passkey",
        "/login/passkey/challenge",
        "/recover/",
        "/recover/owner",
        "/setup/",
        "/setup/claim",
        "/static/<path:filename>",
    }
    for path in PATHS:
        for method in METHODS:
            rule = find(path, method)
            for holder in STRANGERS:
                if expected(path, method, holder, claimed=holders.claimed) == "opened":
                    assert rule is not None
                    assert rule.path in open_to_all


HOSTS = (
    "evil.example", "", "localhost.", "localhost:8831:1", "127.0.0.1.nip.io", "[::1", "localhost,x",
    "localhost\x85", "%6cocalhost", "localhost#", "xn--localhost-", "node", "0", "2130706433",
)  # fmt: skip


@pytest.mark.parametrize("host", HOSTS)
def test_a_foreign_name_gets_nothing_whoever_asks_for_what(claimed, host):
    caller = Caller(claimed.node)
    for path in PATHS:
        for method in ("GET", "HEAD", "POST", "OPTIONS", "BREW"):
            for holder in ("nobody", "inference key", "owner"):
                headers = claimed.headers(holder) | {"Host": host}
                answer = caller.ask(method, concrete(path), headers)
                assert answer.status in {400, 421}, (method, path, holder)


def spellings(path: str) -> set[str]:
    """Other ways to write a path, which some proxy or router somewhere takes for it."""
    return {
        f"/{path}",
        path.replace("/", "//"),
        path.replace("/", "%2f"),
        "/" + path[1:].replace("/", "%2F"),
        f"{path}%00",
        f"{path}%0a",
        f"{path}%20",
        f"{path};x=y",
        f"{path}/.",
        f"{path}/..;/",
        f"/.{path}",
        f"/x/..{path}",
        f"/%2e{path}",
        f"/static/..{path}",
        f"/static/%2e%2e{path}",
        path.replace("/", "\\"),
        path.replace("/", "%5c"),
        path.upper(),
        f"{path}%ff",
        f"http://evil.example{path}",
        f"//evil.example{path}",
    } - {path, "/"}


@pytest.mark.parametrize("path", PATHS)
def test_no_other_spelling_of_a_route_is_answered_whoever_asks(claimed, path):
    caller = Caller(claimed.node)
    for target in spellings(concrete(path)):
        for method in ("GET", "HEAD", "POST"):
            for holder in ("nobody", "inference key", "metrics key", "owner"):
                headers = claimed.headers(holder) | {"Host": "localhost"}
                answer = caller.ask(method, target, headers)
                assert answer.status in {400, 404, 405, 421}, (method, target, holder)


@pytest.mark.parametrize("method", METHODS)
def test_the_administrators_paths_do_not_exist_on_the_network(claimed, method):
    """Not even as a 405 whose `allow` would tell what they take."""
    caller = Caller(claimed.node)
    for path in ("/admin/keys", "/admin/status", "/admin/setup-token", "/admin/nothing"):
        answer = caller.ask(method, path, {"Host": "localhost"})
        assert answer.status == 404
        assert "allow" not in answer.headers


def test_a_target_with_the_nodes_own_name_is_the_same_route_with_the_same_gate(claimed):
    caller = Caller(claimed.node)
    for target, status in (("/health", 200), ("/v1/models", 401), ("/admin/keys", 404)):
        answer = caller.ask("GET", f"http://localhost{target}", {"Host": "localhost"})
        assert answer.status == status

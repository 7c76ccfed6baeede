"""Doubled, oversized and broken header fields: refused, or read in one way only."""

from __future__ import annotations

import json
import re

import pytest

from tests.integration.node_process import NodeProcess, node_process

HOST = "Host: localhost"
ANSWER = re.compile(rb"^HTTP/1\.[01] [1-5]", re.MULTILINE)


@pytest.fixture(scope="module")
def node():
    with node_process() as node:
        node.start()
        yield node


@pytest.fixture(scope="module")
def key(node):
    return node.new_key()[1]


def ask(node: NodeProcess, *lines: str) -> tuple[int, bytes]:
    """GET /v1/models with these header lines; `\\r` and `\\n` in them go out as they are."""
    head = "\r\n".join(["GET /v1/models HTTP/1.1", *lines, "Connection: close", "", ""])
    return node.raw(head.encode("latin-1"))


def test_the_key_alone_opens_the_route(node, key):
    """Guards what follows: 503 is past the gate, where no engine runs."""
    assert ask(node, HOST, f"Authorization: Bearer {key}")[0] == 503


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("other", ["Bearer b3iq_local_wrong", "Basic eDp5", "Bearer", ""])
def test_two_credentials_are_none(node, key, other, first):
    """Neither the first nor the last counts: a proxy may have looked at the other one."""
    lines = [f"Authorization: Bearer {key}", f"Authorization: {other}"]
    assert ask(node, HOST, *(lines if first else reversed(lines)))[0] in {400, 401}


def test_the_same_credential_twice_is_none(node, key):
    line = f"Authorization: Bearer {key}"
    assert ask(node, HOST, line, line)[0] in {400, 401}


@pytest.mark.parametrize(
    "spoilt",
    [
        "Authorization : Bearer {}",
        "Authorization: Bearer {}\rX: y",
        "Authorization: Bearer {}\nX: y",
        "Authorization: Bearer\r\n {}",
        "Authorization: Bearer {}\x00",
        "Authorization: Bearer \x0b{}",
        "Authorization: Bearer {}, Bearer {}",
        "Authorization: Bearer {}\xa0",
        "Authorization: Bearer {}\x85",
        "Authorization: Be\xe4rer {}",
        "Authorizat\u0131on: Bearer {}".encode().decode("latin-1"),
        "Auth\xadorization: Bearer {}",
        "Proxy-Authorization: Bearer {}",
        "X-Api-Key: {}",
        "Api-Key: {}",
    ],
)
def test_a_credential_that_is_spelled_otherwise_is_none(node, key, spoilt):
    status, answer = ask(node, HOST, spoilt.replace("{}", key))
    assert status in {400, 401}
    assert key.encode() not in answer


@pytest.mark.parametrize(
    "line",
    [
        "X-One: a\rb",
        "X-One: a\nHost: evil.example",
        "X-One: a\n\nGET /health HTTP/1.1",
        "X One: a",
        "X-One",
        ": a",
        "X-\x7fOne: a",
        "X-One: a\x00b",
        " folded: a",
        "X-(One): a",
    ],
)
def test_a_header_that_http_does_not_allow_is_a_400_and_is_not_repeated(node, line):
    status, answer = ask(node, HOST, line)
    assert status == 400
    assert len(ANSWER.findall(answer)) == 1
    assert b"evil" not in answer
    body = json.loads(answer.partition(b"\r\n\r\n")[2])
    assert set(body["error"]) == {"status", "title", "detail", "code"}


@pytest.mark.parametrize(
    "line", ["GET /health\rHTTP/1.1", "GET /health\x00 HTTP/1.1", "GET /health HTTP/1.1\rX: y",
             "GET /h\xe4lth HTTP/1.1", "GET  /health HTTP/1.1", "GET /health HTTP/9.9",
             "GET /health", "get /health HTTP/1.1", "G\u00cbT /health HTTP/1.1"],
)  # fmt: skip
def test_a_request_line_that_http_does_not_allow_opens_nothing(node, line):
    status, answer = node.raw(f"{line}\r\n{HOST}\r\nConnection: close\r\n\r\n".encode("latin-1"))
    assert status in {400, 404, 405, 505}
    assert b'"status":"ok"' not in answer


def test_lines_that_end_in_a_bare_line_feed_are_one_request_at_most(node):
    _, answer = node.raw(b"GET /health HTTP/1.1\nHost: localhost\n\nGET /login HTTP/1.1\n\n")
    assert len(ANSWER.findall(answer)) <= 1
    assert not answer.startswith(b"HTTP/1.1 2")


OVERSIZED = {
    "a long value": [f"X-Long: {'a' * 9_000}"],
    "a long name": [f"{'X' * 9_000}: a"],
    "a long cookie": [f"Cookie: b3iq_session={'a' * 9_000}"],
    "a long key": [f"Authorization: Bearer b3iq_local_{'a' * 9_000}"],
    "very many fields": [f"X-{number}: a" for number in range(200)],
    "more than is ever gathered": ["X-Huge: a" * 20_000],
}


@pytest.mark.parametrize("lines", OVERSIZED.values(), ids=OVERSIZED.keys())
def test_an_oversized_header_is_a_431_or_400(node, lines):
    assert ask(node, HOST, *lines)[0] in {400, 431}


def test_an_oversized_target_is_a_414(node):
    line = f"GET /{'a' * 9_000} HTTP/1.1\r\n{HOST}\r\nConnection: close\r\n\r\n"
    assert node.raw(line.encode())[0] == 414


@pytest.mark.parametrize(
    "name",
    ["\u202eegap", "zero\u200bwidth", "a\u2066b", "line\u2028break", "nul\x00", "\ufeffbom",
     "tag\U000e0061", "\ud800", "   ", "\u3164" * 70, "x" * 65],
)  # fmt: skip
def test_a_name_that_deceives_is_refused_on_the_wire(node, name):
    with node.client() as client:
        body = {"token": node.setup_token(), "owner_name": name, "password": "correct horse x"}
        content = json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        assert client.post("/setup/claim", content=content, headers=headers).status_code == 400


@pytest.mark.parametrize(
    "content",
    [
        b'{"token": "a", "token": "b", "owner_name": "x", "password": "y"}',
        b'{"token": "a", "owner_name": "x", "password": "y", "password\\u0000": "z"}',
        b'\xff\xfe{"token": "a"}',
        b'{"token": "\xed\xa0\x80", "owner_name": "x", "password": "y"}',
        b'{"token": ' + b"[" * 20_000 + b"}",
        b'{"token": 1e999, "owner_name": NaN}',
        b"",
        b"null",
    ],
)
def test_a_body_that_json_does_not_allow_is_refused(node, content):
    with node.client() as client:
        headers = {"Content-Type": "application/json"}
        answer = client.post("/setup/claim", content=content, headers=headers)
    assert answer.status_code in {400, 401}
    assert "Traceback" not in answer.text

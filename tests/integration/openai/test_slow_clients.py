"""Clients that send slowly, or never finish: they are cut and hold no thread."""

from __future__ import annotations

import json
import time

import httpx
import pytest

from tests.integration.openai.served import exchange, read_answer

pytestmark = pytest.mark.usefixtures("rested")


def test_a_slow_header_is_cut_and_holds_no_thread(slow):
    idlers = [slow.connect() for _ in range(80)]  # more than the node has threads
    for connection in idlers:
        connection.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: loc")
    assert httpx.get(f"{slow.base_url}/health").status_code == 200
    status, body = read_answer(idlers[0])
    assert status == 408
    assert json.loads(body)["error"]["code"] == "request_timeout"
    for connection in idlers:
        connection.close()


def test_a_slow_body_is_cut_and_holds_no_thread(slow):
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
        f"Authorization: Bearer {slow.key}\r\nContent-Type: application/json\r\n"
        f"Content-Length: 1000\r\n\r\n"
    ).encode()
    idlers = [slow.connect() for _ in range(80)]
    for connection in idlers:
        connection.sendall(head + b'{"model"')
    assert httpx.get(f"{slow.base_url}/health").status_code == 200
    # A byte now and then does not buy more time.
    for _ in range(3):
        time.sleep(0.5)
        idlers[0].sendall(b" ")
    status, _ = read_answer(idlers[0])
    assert status == 408
    for connection in idlers:
        connection.close()


def test_a_slow_chunked_body_is_cut(slow):
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
        f"Authorization: Bearer {slow.key}\r\nContent-Type: application/json\r\n"
        f"Transfer-Encoding: chunked\r\n\r\n5\r\n"
    ).encode()
    assert exchange(slow, head + b'{"mod')[0] == 408


UNAUTHENTICATED = (
    b"POST /setup/claim HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
)
HELD_BACK = {
    "told to go on": b"Expect: 100-continue\r\nContent-Length: 100\r\n\r\n",
    "the end of a body within a chunk": b"Transfer-Encoding: chunked\r\n\r\n9\r\n\r\n0\r\n\r\n",
    "a length with many zeros": b"Content-Length: 00000000000000000000100\r\n\r\n",
}


@pytest.mark.parametrize("rest", HELD_BACK.values(), ids=HELD_BACK.keys())
def test_a_body_that_never_comes_holds_no_thread(slow, rest):
    idlers = [slow.connect() for _ in range(80)]
    for connection in idlers:
        connection.sendall(UNAUTHENTICATED + rest)
    assert httpx.get(f"{slow.base_url}/health", timeout=1.5).status_code == 200
    for connection in idlers:
        connection.close()


def test_a_client_that_expects_to_be_told_to_go_on_and_does_not_is_cut(slow):
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
        f"Authorization: Bearer {slow.key}\r\nContent-Type: application/json\r\n"
        f"Content-Length: 2\r\n\r\n"
    ).encode()
    with slow.connect() as connection:
        connection.sendall(head)
        assert b"100 Continue" in connection.recv(4096)
        status, _ = read_answer(connection)
    assert status == 408


def test_a_client_that_is_told_to_go_on_is_told_once_and_answered(slow):
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
        f"Authorization: Bearer {slow.key}\r\nContent-Type: application/json\r\n"
        f"Content-Length: 2\r\nConnection: close\r\n\r\n"
    ).encode()
    with slow.connect() as connection:
        connection.sendall(head)
        assert connection.recv(4096) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"{}")
        assert read_answer(connection)[0] == 400


def test_a_request_behind_a_chunked_one_is_not_waited_with(slow):
    chunked = UNAUTHENTICATED + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
    answers = exchange(
        slow, chunked + b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )
    assert answers[0] == 400
    assert b"HTTP/1.1 200 OK" in answers[1]

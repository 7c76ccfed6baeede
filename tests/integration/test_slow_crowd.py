"""Two hundred slow clients, of every kind, while the owner's console and liveness answer."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import httpx
import pytest

from tests.integration.node_process import NodeProcess, node_process

CROWD = 200
# A person or a monitor would have given up by then; what it took is printed, not asserted.
PATIENCE_S = 10.0
HEAD = b"POST /setup/claim HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


@pytest.fixture(scope="module")
def node():
    with node_process() as node:
        # Longer than the test, so that nobody is cut before the owner asks.
        text = node.paths.node_config.read_text()
        node.paths.node_config.write_text(text.replace("deadline_s = 2", "deadline_s = 60"))
        node.start()
        with node.client() as client:
            assert node.claim(client).status_code == 201
        yield node


def slow_headers(connection: socket.socket, step: int) -> None:
    connection.send(HEAD[:40] if step == 0 else b"X")


def slow_bodies(connection: socket.socket, step: int) -> None:
    connection.send(HEAD + b"Content-Length: 1000\r\n\r\n{" if step == 0 else b" ")


def slow_chunks(connection: socket.socket, step: int) -> None:
    connection.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" if step == 0 else b"1\r\n \r\n")


def readers_of_nothing(connection: socket.socket, step: int) -> None:
    """Asks for page after page on one connection and never reads an answer."""
    try:
        connection.send(b"GET /login HTTP/1.1\r\nHost: localhost\r\n\r\n" * 2000)
    except BlockingIOError:
        return  # the node does not take more of it


def silent(connection: socket.socket, step: int) -> None:
    """Connects and says nothing."""


KINDS = (slow_headers, slow_bodies, slow_chunks, readers_of_nothing, silent)


@contextmanager
def crowd(node: NodeProcess, kinds: list[Callable[[socket.socket, int], None]]) -> Iterator[None]:
    """`CROWD` connections; the block runs while each of them goes on with what it does."""
    with ExitStack() as stack:
        connections = []
        for number in range(CROWD):
            connection = stack.enter_context(socket.socket())
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            connection.connect(("127.0.0.1", node.port))
            connection.setblocking(False)
            connections.append((connection, kinds[number % len(kinds)]))
        for step in range(3):
            for connection, misbehave in connections:
                try:
                    misbehave(connection, step)
                except (BrokenPipeError, ConnectionResetError):
                    continue  # the node had enough of it
        yield


CROWDS = {kind.__name__: [kind] for kind in KINDS} | {"all of them": list(KINDS)}


@pytest.mark.parametrize("kinds", CROWDS.values(), ids=CROWDS.keys())
def test_the_owner_is_answered_in_the_midst_of_two_hundred(node, kinds):
    with node.client() as owner:
        assert node.log_in(owner).status_code == 303
        with crowd(node, kinds):
            took = []
            for path in ("/health", "/console/", "/login", "/v1/receipts") * 5:
                began = time.monotonic()
                assert owner.get(path, timeout=PATIENCE_S).status_code == 200
                took.append(time.monotonic() - began)
        print(f"\nslowest {max(took):.3f} s, median {sorted(took)[len(took) // 2]:.3f} s")
    answer = httpx.get(f"{node.base_url}/health", trust_env=False)
    assert answer.status_code == 200


def test_requests_sent_ahead_are_all_answered_to_a_client_that_reads(node):
    """Pipelining (RFC 9112 section 9.3.2) is no attack by itself."""
    one = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    last = one.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    _, answers = node.raw(one * 300 + last)
    assert answers.count(b"HTTP/1.1 200 OK") == 301

from __future__ import annotations

import itertools
import socket
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from b3iq.node.engine_wire import ClientGone, Exchange, StreamCut, Waiter, WireError
from tests.unit.node_inference.scripted_engine import END, STREAM_HEAD, chunked


class Said(Exchange):
    """An exchange whose peer has said all that it will say."""

    def __init__(self, *pieces: bytes) -> None:
        self.socket, peer = socket.socketpair()
        self.status, self._buffer = 0, b""
        self._chunked, self._left, self._ended = False, None, False
        self._speaker = threading.Thread(target=self._say, args=(peer, pieces))
        self._speaker.start()

    @staticmethod
    def _say(peer: socket.socket, pieces: tuple[bytes, ...]) -> None:
        with peer:
            for piece in pieces:
                peer.sendall(piece)

    def whole(self) -> bytes:
        try:
            waiter = Waiter(self.socket)
            self.read_head(waiter)
            return self.read_all(waiter, 1 << 20)
        finally:
            self._speaker.join()
            self.close()


@given(
    parts=st.lists(st.binary(min_size=1, max_size=300), max_size=8),
    cuts=st.sets(st.integers(1, 2000)),
)
@settings(max_examples=150, deadline=None)
def test_chunks_make_the_same_body_however_they_arrive(parts, cuts):
    data = STREAM_HEAD + b"".join(chunked(part) for part in parts) + END
    edges = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
    pieces = [data[a:b] for a, b in itertools.pairwise(edges)]
    assert Said(*pieces).whole() == b"".join(parts)


@given(keep=st.floats(0, 0.999))
@settings(max_examples=60, deadline=None)
def test_a_chunked_body_that_breaks_off_is_an_error_wherever_it_does(keep):
    data = chunked(b"one") + chunked(b"two and more") + END
    exchange = Said(STREAM_HEAD + data[: int(keep * (len(data) - 2))])
    with pytest.raises(WireError):
        exchange.whole()


def test_a_body_ends_after_its_announced_length():
    assert Said(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcdef").whole() == b"abc"


def test_a_body_shorter_than_announced_is_an_error():
    with pytest.raises(WireError):
        Said(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc").whole()


def test_a_body_without_a_length_ends_with_the_connection():
    assert Said(b"HTTP/1.0 200 OK\r\n\r\nabc", b"def").whole() == b"abcdef"


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"HTTP/1.1 200",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: \xb2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nabcdefghij",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n+1_0\r\n" + b"a" * 16 + b"\r\n0\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"0" * 100,
        b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 20_000,
    ],
)
def test_what_is_not_http_is_an_error(said):
    with pytest.raises(WireError):
        Said(said).whole()


def test_a_body_over_the_limit_is_an_error():
    exchange = Said(b"HTTP/1.1 200 OK\r\n\r\n" + b"a" * 5000)
    waiter = Waiter(exchange.socket)
    exchange.read_head(waiter)
    with pytest.raises(WireError):
        exchange.read_all(waiter, 100)
    exchange.close()


def test_a_client_that_leaves_wakes_a_waiting_reader():
    engine, _silent = socket.socketpair()
    client, browser = socket.socketpair()
    threading.Timer(0.1, browser.close).start()
    with pytest.raises(ClientGone):
        Waiter(engine, client).wait()


def test_a_client_that_has_sent_more_has_not_left():
    engine, peer = socket.socketpair()
    client, browser = socket.socketpair()
    browser.sendall(b"GET /pipelined HTTP/1.1\r\n\r\n")
    threading.Timer(0.1, peer.sendall, [b"x"]).start()
    Waiter(engine, client).wait()


def test_a_cut_ends_the_wait_though_nobody_speaks():
    engine, _silent = socket.socketpair()
    cut = threading.Event()
    threading.Timer(0.1, cut.set).start()
    with pytest.raises(StreamCut):
        Waiter(engine, None, cut.is_set).wait()


def test_a_cut_ends_the_wait_though_the_engine_keeps_speaking():
    engine, peer = socket.socketpair()
    peer.sendall(b"x" * 100)
    with pytest.raises(StreamCut):
        Waiter(engine, None, lambda: True).wait()


def test_a_deadline_ends_the_wait():
    engine, _silent = socket.socketpair()
    with pytest.raises(TimeoutError):
        Waiter(engine).wait(time.monotonic())

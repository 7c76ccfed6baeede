"""HTTP/1.1 over a Unix socket, read as it arrives: the bytes under `engine_client`.

Written on sockets because a reader must wait for two things at once, the engine's next
bytes and the client's departure, which httpx and http.client hide behind a blocking read.
It is on the path of every token: it takes as much processor time per event as http.client
and two thirds of httpx's. Framing is RFC 9112: chunked, Content-Length, or until the
connection closes.
"""

from __future__ import annotations

import io
import re
import select
import socket
import time
from collections.abc import Callable
from http.client import HTTPException, HTTPMessage, parse_headers
from pathlib import Path

_RECV = 64 * 1024
_HEAD_LIMIT = 64 * 1024
_CHUNK_LINE_LIMIT = 64
# Plain digits: Python's `int` would also take signs, underscores and other scripts' digits.
_LENGTH = re.compile(r"[0-9]{1,18}")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;|$)")
# How often a waiting reader looks at `Waiter.cut`; data and departures wake it at once.
_LOOK_MS = 250


class WireError(Exception):
    """The peer closed early or answered something that is not HTTP."""


class ClientGone(Exception):
    """The client closed its connection while an answer was being made."""


class StreamCut(Exception):
    """The node ended this stream itself: the key was revoked or the node is stopping."""


class Waiter:
    """Waits until one socket is readable, and raises if the answer is no longer wanted.

    Args:
        engine: the connection to read from.
        client: the client's connection, watched for its end (not read); None to watch nobody.
        is_cut: asked at least every 250 ms while waiting; True ends the wait.
    """

    def __init__(
        self,
        engine: socket.socket,
        client: socket.socket | None = None,
        is_cut: Callable[[], bool] = lambda: False,
    ) -> None:
        self._is_cut = is_cut
        self._engine = engine.fileno()
        self._poll = select.poll()
        self._poll.register(self._engine, select.POLLIN)
        if client is not None:
            # POLLRDHUP: the peer has closed its end, even behind unread pipelined bytes.
            self._poll.register(client.fileno(), select.POLLRDHUP)

    def wait(self, deadline: float | None = None) -> None:
        """Return when there is something to read.

        Args:
            deadline: `time.monotonic()` value after which to give up; None waits for ever.

        Raises:
            ClientGone, StreamCut: the answer is no longer wanted.
            TimeoutError: the deadline passed.
        """
        while True:
            ready = self._poll.poll(_LOOK_MS)
            if self._is_cut():
                raise StreamCut
            for descriptor, _ in ready:
                if descriptor != self._engine:
                    raise ClientGone
            if ready:
                return
            if deadline is not None and time.monotonic() > deadline:
                raise TimeoutError


class Exchange:
    """One request and its response on a connection of its own.

    Attributes (after `read_head`):
        status: HTTP status code.
        headers: the response's header fields.
    """

    def __init__(self, socket_path: Path, connect_s: float) -> None:
        """Connect.

        Raises:
            OSError: nobody listens there, or the listener's queue stayed full.
        """
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self.socket.settimeout(connect_s)
            self.socket.connect(str(socket_path))
        except BaseException:
            self.socket.close()
            raise
        self.status = 0
        self.headers = HTTPMessage()
        self._buffer = b""
        self._chunked = False
        self._left: int | None = None
        self._ended = False

    def send(self, method: str, path: str, body: bytes | None = None) -> None:
        """Send a request; `body` is JSON.

        Raises:
            OSError: the peer closed, or did not take the request within the connect time.
        """
        head = f"{method} {path} HTTP/1.1\r\nHost: engine\r\nConnection: close\r\n"
        if body is not None:
            head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        self.socket.sendall(head.encode("ascii") + b"\r\n" + (body or b""))

    def read_head(self, waiter: Waiter, deadline: float | None = None) -> None:
        """Read the status line and the header fields.

        Raises:
            WireError, OSError, and what `Waiter.wait` raises.
        """
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            if len(self._buffer) > _HEAD_LIMIT:
                raise WireError("response head too large")
            self._receive(waiter, deadline)
        head, self._buffer = self._buffer[: end + 4], self._buffer[end + 4 :]
        status_line, _, fields = head.partition(b"\r\n")
        parts = status_line.split(None, 2)
        if len(parts) < 2 or not parts[0].startswith(b"HTTP/1.") or not parts[1].isdigit():
            raise WireError("not an HTTP/1 response")
        try:
            self.headers = parse_headers(io.BytesIO(fields))
        except HTTPException as error:
            raise WireError("malformed header fields") from error
        self.status = int(parts[1])
        self._chunked = "chunked" in self.headers.get("transfer-encoding", "").lower()
        length = self.headers.get("content-length")
        if self._chunked:
            self._left = 0
        elif length is not None:
            if not _LENGTH.fullmatch(length):
                raise WireError("malformed content-length")
            self._left = int(length)

    def read(self, waiter: Waiter, deadline: float | None = None) -> bytes:
        """Everything of the body that has arrived, at least one byte; b"" at its end.

        Raises:
            WireError: the connection closed before the end that the framing announced.
            OSError, and what `Waiter.wait` raises.
        """
        while not self._ended:
            data = self._take_chunks() if self._chunked else self._take_plain()
            if data or self._ended:
                return data
            try:
                self._receive(waiter, deadline)
            except WireError:
                if self._chunked or self._left is not None:
                    raise
                self._ended = True
        return b""

    def read_all(self, waiter: Waiter, limit: int, deadline: float | None = None) -> bytes:
        """The whole body, of at most `limit` bytes."""
        body = b""
        while data := self.read(waiter, deadline):
            body += data
            if len(body) > limit:
                raise WireError("response body too large")
        return body

    def close(self) -> None:
        """Close the connection; the engine takes that as cancellation."""
        self.socket.close()

    def _receive(self, waiter: Waiter, deadline: float | None) -> None:
        waiter.wait(deadline)
        data = self.socket.recv(_RECV)
        if not data:
            raise WireError("the engine closed the connection")
        self._buffer += data

    def _take_plain(self) -> bytes:
        if self._left is None:
            data, self._buffer = self._buffer, b""
            return data
        data, self._buffer = self._buffer[: self._left], self._buffer[self._left :]
        self._left -= len(data)
        self._ended = self._left == 0
        return data

    def _take_chunks(self) -> bytes:
        """The data of every whole or begun chunk in the buffer (RFC 9112 §7.1)."""
        parts = []
        # `_left` counts the current chunk's data and the CRLF behind it.
        while self._left or self._next_chunk():
            assert self._left is not None  # noqa: S101 - narrows the type; chunked sets it
            if not self._buffer:
                break
            piece = self._buffer[: self._left]
            self._buffer = self._buffer[self._left :]
            data_left = self._left - 2
            parts.append(piece[:data_left] if data_left > 0 else b"")
            self._left -= len(piece)
        return b"".join(parts)

    def _next_chunk(self) -> bool:
        if self._ended:
            return False
        line, found, rest = self._buffer.partition(b"\r\n")
        if not found:
            if len(line) > _CHUNK_LINE_LIMIT:
                raise WireError("malformed chunk size")
            return False
        digits = _CHUNK_SIZE.match(line)
        if digits is None:
            raise WireError("malformed chunk size")
        size = int(digits[1], 16)
        self._buffer = rest
        if size == 0:
            self._ended = True
            return False
        self._left = size + 2
        return True

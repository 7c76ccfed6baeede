"""Gathers a request before a thread is spent on it.

A client that sends its header or body slowly costs a buffer, never a thread, and is cut at
a deadline for the whole of each. What is gathered is handed to gunicorn's parser unread:
the looks taken here decide only *when* to hand over, never what the request says. A thread
reads nothing more: where parser and looks disagree, the request is refused.
"""

from __future__ import annotations

import re
import socket
import time

from gunicorn.http.errors import InvalidRequestLine
from gunicorn.http.unreader import SocketUnreader

HEAD_LIMIT = 64 * 1024
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,18})[ \t]*\r\n", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:", re.IGNORECASE)
_CONTINUE = re.compile(rb"\r\nexpect:[ \t]*100-continue[ \t]*\r\n", re.IGNORECASE)
# As long as gunicorn lets the line before a chunk become.
_CHUNK_LINE_LIMIT = 8190
# Framing may double a body; chunks so small that it does more are an attack on the reader.
_CHUNKED_OVERHEAD = 2


class Chunks:
    """Finds the end of a chunked body (RFC 9112 section 7.1).

    Args:
        start: where the body begins in the buffer.
        limit: longest body in bytes, framing not counted, that is waited for.
    """

    def __init__(self, start: int, limit: int) -> None:
        self._start = start
        self._limit = limit
        self._at = start
        self._length = 0
        self._in_trailers = False

    def ended(self, buffer: bytearray) -> bool:
        """Whether nothing more needs to arrive: the body is whole, malformed or too long."""
        if len(buffer) - self._start > _CHUNKED_OVERHEAD * self._limit:
            return True
        while not self._in_trailers:
            end = buffer.find(b"\r\n", self._at, self._at + _CHUNK_LINE_LIMIT + 2)
            if end < 0:
                return len(buffer) - self._at > _CHUNK_LINE_LIMIT + 2
            try:
                # Laxer than the parser: what it refuses may be waited for, but not the reverse.
                size = int(buffer[self._at : end].split(b";")[0], 16)
            except ValueError:
                return True
            after = end + 2 + size
            if size < 0 or self._length + min(size, len(buffer) - end - 2) > self._limit:
                return True
            if size and len(buffer) < after + 2:
                return False
            if size and buffer[after : after + 2] != b"\r\n":
                return True
            self._in_trailers = size == 0
            self._length += size
            self._at = after + 2 if size else after
        return self._trailers_ended(buffer)

    def _trailers_ended(self, buffer: bytearray) -> bool:
        if len(buffer) - self._at > HEAD_LIMIT:
            return True
        return buffer.startswith(b"\r\n", self._at) or buffer.find(b"\r\n\r\n", self._at) >= 0


class Intake:
    """The bytes of one request as they arrive.

    Args:
        body_limit: longest body in bytes that is waited for; a longer one is handed over
            at once, to be refused.
        header_s, body_s: how long header and body may each take, in seconds.

    Attributes:
        wants_continue: the client waits to be told to send its body (RFC 9110 section 10.1.1).
    """

    def __init__(self, body_limit: int, header_s: float, body_s: float) -> None:
        self.buffer = bytearray()
        self.deadline = time.monotonic() + header_s
        self._body_limit = body_limit
        self._body_s = body_s
        self._body_at: int | None = None
        self._searched = 0
        self._whole = 0
        self._chunks: Chunks | None = None
        self.wants_continue = False

    @property
    def in_body(self) -> bool:
        """Whether the header is there and the body is not."""
        return self._body_at is not None

    def add(self, data: bytes) -> bool:
        """Add what arrived; whether the request is ready for a thread."""
        self.buffer += data
        if self._body_at is None and not self._find_body():
            # Not a method's first letter, or too long a header: the parser says so.
            return not self.buffer[:1].isupper() or len(self.buffer) > HEAD_LIMIT
        if self._chunks is not None:
            return self._chunks.ended(self.buffer)
        return len(self.buffer) >= self._whole

    def _find_body(self) -> bool:
        end = self.buffer.find(b"\r\n\r\n", max(0, self._searched - 3))
        self._searched = len(self.buffer)
        if end < 0:
            return False
        self._body_at = end + 4
        self.deadline = time.monotonic() + self._body_s
        head = bytes(self.buffer[: end + 2])
        self._whole = self._body_at
        length = _LENGTH.search(head)
        if _CHUNKED.search(head):
            self._chunks = Chunks(self._body_at, self._body_limit)
        elif length is not None and int(length[1]) <= self._body_limit:
            self._whole += int(length[1])
        # HTTP/1.0 knows no interim answers.
        current = head.partition(b"\r\n")[0].endswith(b" HTTP/1.1")
        self.wants_continue = current and _CONTINUE.search(head) is not None
        return True


class GatheredUnreader(SocketUnreader):  # type: ignore[misc] # gunicorn has no types
    """Has what was gathered and reads nothing more: waiting is not a thread's business."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self.in_head = True

    def chunk(self, _size_hint: int | None = None) -> bytes:
        """Refuse: the parser wants more than was gathered as the whole request.

        Raises:
            InvalidRequestLine: more of the header, so it was given something else than HTTP.
            TimeoutError: more of the body.
        """
        raise InvalidRequestLine("") if self.in_head else TimeoutError

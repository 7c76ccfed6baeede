"""An engine that says exactly the bytes that a test wrote, to show what others may say."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

WEIGHTS = "ab" * 32
MODELS = {
    "object": "list",
    "data": [{"id": "m", "object": "model", "created": 7, "weights_sha256": WEIGHTS}],
}


class ScriptedEngine:
    """Answers POSTs with `script`, piece by piece; a threading.Event among them is waited for.

    Attributes:
        requests: bodies of the POSTs, parsed.
        closed: set when a client has closed its connection before the script ended.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.models = answer(200, json.dumps(MODELS).encode())
        self.script: Iterable[bytes | threading.Event] = ()
        self.requests: list[Any] = []
        self.closed = threading.Event()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(8)
        self._threads: list[threading.Thread] = []
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def stop(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._accepting.join(timeout=10)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            head, body = read_request(connection)
            if head.startswith(b"GET"):
                connection.sendall(self.models)
                return
            self.requests.append(json.loads(body))
            for step in self.script:
                if isinstance(step, threading.Event):
                    self._wait(connection, step)
                    continue
                try:
                    connection.sendall(step)
                except OSError:
                    self.closed.set()
                    return

    def _wait(self, connection: socket.socket, event: threading.Event) -> None:
        connection.settimeout(0.02)
        while not event.is_set():
            try:
                if not connection.recv(1):
                    self.closed.set()
                    return
            except TimeoutError:
                continue
            except OSError:
                self.closed.set()
                return


def read_request(connection: socket.socket) -> tuple[bytes, bytes]:
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            while len(body) < int(line.split(b":")[1]):
                body += connection.recv(65536)
    return head, body


def answer(status: int, body: bytes) -> bytes:
    return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body)


STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
)
DONE = b"data: [DONE]\n\n"


def chunked(data: bytes) -> bytes:
    """One chunk of a body (RFC 9112 section 7.1)."""
    return b"%x\r\n%s\r\n" % (len(data), data)


END = chunked(b"")


def event(text: str = "", finish: Any = None, completion: float | None = None) -> bytes:
    fields: dict[str, Any] = {
        "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": finish}]
    }
    if completion is not None:
        fields["usage"] = {"prompt_tokens": 5, "completion_tokens": completion}
    return b"data: " + json.dumps(fields).encode() + b"\n\n"

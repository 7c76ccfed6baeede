"""An HTTP server that keeps ranges, or lies, stops, drips and goes on as it is told."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@dataclass
class Mirror:
    """What is served, and how.

    Attributes:
        file: the file that every path leads to.
        breaks: how many bytes each of the next answers gives before it breaks off.
        ranges: the Range headers that came.
    """

    file: Path
    breaks: list[int] = field(default_factory=list)
    knows_ranges: bool = True
    shifted: int = 0
    says_length: bool = True
    endless: bool = False
    redirect: str = ""
    drips_headers: bool = False
    ranges: list[str | None] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)


class _Handler(BaseHTTPRequestHandler):
    mirror: Mirror

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        pass

    def do_GET(self) -> None:
        mirror = self.mirror
        mirror.ranges.append(self.headers.get("Range"))
        mirror.headers.append(dict(self.headers))
        with contextlib.suppress(ConnectionError):
            if mirror.drips_headers:
                self._drip()
            elif mirror.redirect:
                self.send_response(302)
                self.send_header("Location", mirror.redirect)
                self.end_headers()
            else:
                self._answer(mirror)

    def _answer(self, mirror: Mirror) -> None:
        length = mirror.file.stat().st_size
        asked = self.headers.get("Range") if mirror.knows_ranges else None
        start = int(asked[6:-1]) if asked else 0
        if start and start >= length:
            self.send_error(416)
            return
        self.send_response(206 if asked else 200)
        if asked:
            first = start + mirror.shifted
            self.send_header("Content-Range", f"bytes {first}-{length - 1}/{length}")
        if mirror.says_length:
            self.send_header("Content-Length", str(length - start))
        self.end_headers()
        left = mirror.breaks.pop(0) if mirror.breaks else length
        with mirror.file.open("rb") as file:
            file.seek(start)
            while left and (chunk := file.read(min(left, 1 << 20))):
                self.wfile.write(chunk)
                left -= len(chunk)
        while mirror.endless:
            self.wfile.write(b" " * 65536)

    def _drip(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\n")
        for number in range(600):
            self.wfile.write(f"X-{number}: .\r\n".encode())
            time.sleep(0.05)


@contextlib.contextmanager
def serving(mirror: Mirror) -> Iterator[str]:
    """Serve on loopback; yields the address of the file."""
    handler = type("Handler", (_Handler,), {"mirror": mirror})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/file"
    finally:
        server.shutdown()
        server.server_close()

"""HTTP as the updater speaks it: from an offset, at a pace, and nowhere but to http(s).

No server is trusted. A watch cuts the connection of one that falls below the pace, from the
first byte that is sent on, so that dripped headers are no way around it; redirects lead to
http(s) and never from https to http; bodies are taken as they are, never decompressed; and no
credential, cookie or referrer is sent to anybody.
"""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib import parse, request

import urllib3
from tuf.api.exceptions import DownloadError, DownloadHTTPError, SlowRetrievalError
from urllib3.connection import HTTPConnection, HTTPSConnection

_CHUNK = 64 * 1024
_REDIRECTS = {301, 302, 303, 307, 308}
_REDIRECT_LIMIT = 5
Sockets = weakref.WeakSet[socket.socket]
_CONTENT_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19}|\*)")


@dataclass(frozen=True)
class Pace:
    """What a server must keep to: after `grace_s` seconds, `floor_bytes_per_s` on average.

    `gap_s` is the longest wait for a connection or between two bytes.
    """

    grace_s: float = 30.0
    floor_bytes_per_s: float = 8 * 1024
    gap_s: float = 30.0


@dataclass(frozen=True)
class Body:
    """An answer's bytes, which begin at `start` of the file: 0 where no range was answered."""

    start: int
    chunks: Iterator[bytes]


class Watch:
    """Cuts connections that do not keep the pace; one thread for as long as one body is read."""

    def __init__(self, pace: Pace, sockets: Sockets) -> None:
        self._pace = pace
        self._sockets = sockets
        self._done = threading.Event()
        self.received = 0
        self.fired = False
        self._started = time.monotonic()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """The body is read, or given up."""
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        wait = self._pace.grace_s
        while not self._done.wait(wait):
            elapsed = time.monotonic() - self._started
            if self.received < self._pace.floor_bytes_per_s * elapsed:
                self.fired = True
                for connected in list(self._sockets):
                    with contextlib.suppress(OSError):
                        connected.shutdown(socket.SHUT_RDWR)
                return
            wait = 1.0


class Client:
    """Gets files by HTTP(S), through the proxies that the environment names."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._sockets: Sockets = weakref.WeakSet()
        self._managers: dict[str | None, urllib3.PoolManager] = {}
        self._headers = {"User-Agent": "b3iq-updater", "Accept-Encoding": "identity"}

    def get(self, url: str, start: int = 0) -> Body:
        """Ask for a file from an offset on; a server may answer the whole of it.

        Raises:
            DownloadHTTPError: a status of 400 and more.
            SlowRetrievalError: below the pace; also while the chunks are read.
            DownloadError: anything else that is no file; also while the chunks are read.
        """
        watch = Watch(self._pace, self._sockets)
        try:
            with _named(watch, url):
                response = self._follow(url, start)
                began = _start(response, start)
        except BaseException:
            watch.close()
            raise
        return Body(began, self._chunks(url, response, watch))

    def _follow(self, url: str, start: int) -> urllib3.BaseHTTPResponse:
        for _ in range(_REDIRECT_LIMIT):
            response = self._ask(url, start)
            if response.status not in _REDIRECTS:
                return response
            response.close()
            url = _redirected(url, response.headers.get("Location", ""))
        raise DownloadError(f"{_without_query(url)} is redirected without end")

    def _ask(self, url: str, start: int) -> urllib3.BaseHTTPResponse:
        headers = self._headers | ({"Range": f"bytes={start}-"} if start else {})
        return self._manager(url).request(
            "GET",
            url,
            headers=headers,
            preload_content=False,
            decode_content=False,
            redirect=False,
            retries=False,
            timeout=self._pace.gap_s,
        )

    def _manager(self, url: str) -> urllib3.PoolManager:
        where = parse.urlsplit(url)
        proxies = request.getproxies()
        proxy = proxies.get(where.scheme) or proxies.get("all")
        if proxy and request.proxy_bypass(where.hostname or ""):
            proxy = None
        if proxy not in self._managers:
            manager = urllib3.ProxyManager(proxy) if proxy else urllib3.PoolManager()
            manager.pool_classes_by_scheme = self._pools()
            self._managers[proxy] = manager
        return self._managers[proxy]

    def _pools(self) -> dict[str, Any]:
        """urllib3's pools, whose connections this client's watch may cut."""
        sockets = self._sockets

        class Http(HTTPConnection):
            def connect(self) -> None:
                super().connect()
                _remember(sockets, self.sock)

        class Https(HTTPSConnection):
            def connect(self) -> None:
                super().connect()
                _remember(sockets, self.sock)

        http = type("HttpPool", (urllib3.HTTPConnectionPool,), {"ConnectionCls": Http})
        https = type("HttpsPool", (urllib3.HTTPSConnectionPool,), {"ConnectionCls": Https})
        return {"http": http, "https": https}

    def _chunks(
        self, url: str, response: urllib3.BaseHTTPResponse, watch: Watch
    ) -> Iterator[bytes]:
        try:
            with _named(watch, url):
                for chunk in response.stream(_CHUNK, decode_content=False):
                    watch.received += len(chunk)
                    yield chunk
                if watch.fired:  # a cut connection may look like the end of a file
                    raise DownloadError("cut")
        except BaseException:
            response.close()
            raise
        finally:
            watch.close()
            response.release_conn()


def _remember(sockets: Sockets, connected: socket.socket | None) -> None:
    if connected is not None:
        sockets.add(connected)


def _start(response: urllib3.BaseHTTPResponse, start: int) -> int:
    """Where the answer's bytes begin."""
    if response.status >= 400:
        response.close()
        raise DownloadHTTPError(f"HTTP status {response.status}", response.status)
    if response.status == 200:
        return 0
    found = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if response.status != 206 or found is None or int(found[1]) != start:
        response.close()
        raise DownloadError(f"HTTP status {response.status} with another range than was asked for")
    return start


def _redirected(url: str, location: str) -> str:
    after = parse.urljoin(url, location)
    scheme = parse.urlsplit(after).scheme
    allowed = {"https"} if parse.urlsplit(url).scheme == "https" else {"http", "https"}
    if not location or scheme not in allowed:
        raise DownloadError(f"{_without_query(url)} is redirected to {scheme or 'nothing'}://")
    return after


@contextlib.contextmanager
def _named(watch: Watch, url: str) -> Iterator[None]:
    """Give a fault of the connection its name; a redirect's signed query is kept out of it."""
    place = _without_query(url)
    try:
        yield
    except (urllib3.exceptions.HTTPError, OSError, ValueError, DownloadError) as error:
        if watch.fired:
            raise SlowRetrievalError(f"{place}: {watch.received} bytes, too slow") from error
        if isinstance(error, urllib3.exceptions.TimeoutError):
            raise SlowRetrievalError(f"{place}: no answer") from error
        if isinstance(error, DownloadError):
            raise
        raise DownloadError(f"{place}: {type(error).__name__}") from error


def _without_query(url: str) -> str:
    return url.partition("?")[0]

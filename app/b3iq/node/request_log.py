"""One log line a request: what was asked of which route, and how it ended.

The line holds the route as the policy table writes it, never the path or the query that
the client wrote: those may hold a secret or a prompt.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from gunicorn.http.errors import ParseException

from b3iq.node.gate import KNOWN_METHODS

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

_log = logging.getLogger(__name__)


class RequestLog:
    """WSGI middleware: logs every request when its response has ended."""

    def __init__(self, application: WSGIApplication) -> None:
        self._application = application

    def __call__(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        """Serve one request."""
        entry = _Entry(environ)
        environ["wsgi.input"] = _Input(environ["wsgi.input"])

        def start_response(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:  # noqa: ANN401 - WSGI's own
            entry.answered(status, headers)
            return start(status, headers, *rest)

        try:
            body = self._application(environ, start_response)
        except BaseException:
            entry.write()
            raise
        return _Body(body, entry.write)


class _Entry:
    def __init__(self, environ: WSGIEnvironment) -> None:
        self._environ = environ
        self._started = time.monotonic()
        self._status: int | None = None
        self._request_id: str | None = None
        self._route = "unmatched"

    def answered(self, status: str, headers: list[tuple[str, str]]) -> None:
        self._status = int(status[:3])
        found = (value for name, value in headers if name.lower() == "x-request-id")
        self._request_id = next(found, None)
        # Now, since Flask takes the request out of the environment at its end.
        request = self._environ.get("werkzeug.request")
        rule = getattr(request, "url_rule", None)
        if rule is not None:
            self._route = rule.rule

    def write(self) -> None:
        method = self._environ["REQUEST_METHOD"]
        fields = {
            "method": method if method in KNOWN_METHODS else "other",
            "route": self._route,
            "status": self._status,
            "duration_ms": round((time.monotonic() - self._started) * 1000, 1),
            "request_id": self._request_id,
        }
        _log.info("request", extra=fields)


class _Body:
    """The response's body; `close` reaches the application's and writes the line once."""

    def __init__(self, body: Iterable[bytes], write: Callable[[], None]) -> None:
        self._body = body
        self._write = write

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._body)

    def close(self) -> None:
        try:
            close = getattr(self._body, "close", None)
            if close is not None:
                close()
        finally:
            self._write()


class _Input:
    """The request's body; a malformed chunk reads as a client that went away, a 400.

    gunicorn raises errors of its own there, which an application takes for its own fault.
    """

    def __init__(self, stream: Any) -> None:  # noqa: ANN401 - gunicorn has no types
        self._stream = stream

    def read(self, size: int | None = None) -> bytes:
        return self._guard(self._stream.read, size)

    def readline(self, size: int | None = None) -> bytes:
        return self._guard(self._stream.readline, size)

    def _guard(self, read: Callable[[int | None], bytes], size: int | None) -> bytes:
        try:
            return read(size)
        except ParseException as error:
            raise OSError("malformed request body") from error

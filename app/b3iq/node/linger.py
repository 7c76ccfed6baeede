"""Closes connections without taking the end of an answer with them.

Closing with unread bytes in the buffer would reset the connection, and the client would
lose what it had not read yet (RFC 9112 section 9.6). So the node says that nothing more
comes and reads on, in the poller, until the client has closed too or time is up.
"""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Callable
from functools import partial

from gunicorn.workers.gthread import TConn

from b3iq.node import tls

LINGER_S = 2.0
_RECV = 64 * 1024


class Lingering:
    """The connections that wait for their clients' close.

    Args:
        poller: calls back when there is something to read.
        close: what is done with a connection in the end.
    """

    def __init__(self, poller: selectors.BaseSelector, close: Callable[[TConn], None]) -> None:
        self._poller = poller
        self._close = close
        self._until: dict[TConn, float] = {}

    def add(self, connection: TConn) -> None:
        """Say that nothing more comes, and wait."""
        try:
            tls.close_write(connection.sock)
            self._poller.register(
                connection.sock, selectors.EVENT_READ, partial(self._on_readable, connection)
            )
        except (OSError, ValueError):
            self._close(connection)
            return
        self._until[connection] = time.monotonic() + LINGER_S

    def expire(self) -> None:
        """Close those whose time is up."""
        now = time.monotonic()
        for connection, until in list(self._until.items()):
            if now >= until:
                self._end(connection)

    def _on_readable(self, connection: TConn, client: socket.socket) -> None:
        if connection in self._until and tls.receive(client, _RECV) == b"":
            self._end(connection)

    def _end(self, connection: TConn) -> None:
        del self._until[connection]
        self._poller.unregister(connection.sock)
        self._close(connection)

"""Noticing that a client left, whatever the thread that serves it is doing.

One thread waits on all served sockets for the peer's end to close (EPOLLRDHUP, epoll(7))
and cancels the stream at once: while the request is queued, in a prompt or between tokens,
and without a read that could take bytes of the next request.
"""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from collections.abc import Iterator

from b3iq.engine.stream import TokenStream


class DisconnectWatcher:
    """Cancels the stream of a socket that its client closed."""

    def __init__(self) -> None:
        self._poll = select.epoll()
        self._streams: dict[int, TokenStream] = {}
        self._lock = threading.Lock()
        threading.Thread(target=self._run, name="disconnects", daemon=True).start()

    @contextlib.contextmanager
    def watch(self, client: socket.socket | None, stream: TokenStream) -> Iterator[None]:
        """Watch while the block runs; a None client (no real socket) is never seen to leave.

        Leave the block before the socket may be closed: its number is then used again.
        """
        if client is None:
            yield
            return
        number = client.fileno()
        with self._lock:
            self._streams[number] = stream
        self._poll.register(number, select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLONESHOT)
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                self._poll.unregister(number)
            with self._lock:
                self._streams.pop(number, None)

    def _run(self) -> None:
        while True:
            for number, _ in self._poll.poll():
                with self._lock:
                    stream = self._streams.get(number)
                    # The socket of the event may be closed by now, and its number be another's.
                    if stream is not None and _has_left(number):
                        stream.cancel()


def _has_left(number: int) -> bool:
    look = select.poll()
    look.register(number, select.POLLRDHUP)
    return bool(look.poll(0))

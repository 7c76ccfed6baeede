"""Which stream ends when a client leaves, on real sockets and the kernel's own events."""

from __future__ import annotations

import select
import socket
import threading

import pytest

from b3iq.engine import disconnects
from b3iq.engine.disconnects import DisconnectWatcher
from b3iq.engine.stream import TokenStream

from .test_service import eventually


class LatePoll:
    """The kernel's epoll, read by a thread that gets the processor late."""

    def __init__(self) -> None:
        self._poll = select.epoll()
        self.register, self.unregister = self._poll.register, self._poll.unregister
        self.seen, self.go_on = threading.Semaphore(0), threading.Semaphore(0)

    def poll(self) -> list[tuple[int, int]]:
        events = self._poll.poll()
        self.seen.release()
        self.go_on.acquire(timeout=30)
        return events


def test_a_client_that_leaves_ends_its_own_stream_and_no_other() -> None:
    watcher = DisconnectWatcher()
    pairs = [socket.socketpair() for _ in range(3)]
    streams = [TokenStream(1) for _ in pairs]
    left = pairs[1]
    with (
        watcher.watch(pairs[0][0], streams[0]),
        watcher.watch(left[0], streams[1]),
        watcher.watch(pairs[2][0], streams[2]),
    ):
        left[1].close()
        eventually(lambda: streams[1].cancelled)
    assert [stream.cancelled for stream in streams] == [False, True, False]


def test_a_departure_noticed_late_does_not_end_the_next_request_of_that_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    poll = LatePoll()
    monkeypatch.setattr(disconnects.select, "epoll", lambda: poll)
    watcher = DisconnectWatcher()
    (ours, theirs), ended = socket.socketpair(), TokenStream(1)
    number = ours.fileno()
    with watcher.watch(ours, ended):
        theirs.close()
        assert poll.seen.acquire(timeout=30)
    ours.close()

    ours, theirs = socket.socketpair()
    assert number in (ours.fileno(), theirs.fileno())
    if theirs.fileno() == number:
        ours, theirs = theirs, ours
    running, (other, leaving) = TokenStream(1), socket.socketpair()
    with watcher.watch(ours, running), watcher.watch(other, TokenStream(1)):
        poll.go_on.release()
        leaving.close()
        # The thread came back for the next event, so the late one is dealt with.
        assert poll.seen.acquire(timeout=30)
        assert not running.cancelled
        poll.go_on.release(2)
        theirs.close()
        eventually(lambda: running.cancelled)

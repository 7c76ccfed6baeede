"""The cap on answers being made at once, and the means to end one from outside.

A slot is taken before the engine is asked and given back when the receipt is sealed. The
server has more threads than slots, so health, the owner's pages and refusals are always
answered.
"""

from __future__ import annotations

import threading
from typing import Literal

from b3iq.errors import B3iqError

CutReason = Literal["revoked", "stopping"]


class TooManyStreams(B3iqError):
    """Every stream slot is taken; the client may retry after a moment."""

    code = "too_many_streams"
    title = "The node is answering as many requests at once as it is allowed to"
    status = 429
    retry_after_s = 1


class Slot:
    """The right to make one answer; give it back with `release` (any number of times)."""

    def __init__(self, owner: StreamSlots, key_id: str | None) -> None:
        self.key_id = key_id
        self._owner = owner
        self._cut: CutReason | None = None

    @property
    def cut(self) -> CutReason | None:
        """Why the node wants this stream ended; None while it may go on."""
        return self._cut

    def is_cut(self) -> bool:
        """Whether the stream must end now."""
        return self._cut is not None

    def end(self, reason: CutReason) -> None:
        """Ask the stream to end; the first reason stands."""
        self._cut = self._cut or reason

    def release(self) -> None:
        """Give the slot back."""
        self._owner.give_back(self)

    def __enter__(self) -> Slot:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


class StreamSlots:
    """Counts the answers being made; safe to use from every thread.

    Args:
        limit: answers at once.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._lock = threading.Lock()
        self._taken: set[Slot] = set()
        # A request may have shown its key just before it was revoked and ask for a slot just
        # after; revoked keys are few and never come back.
        self._revoked: set[str] = set()

    @property
    def active(self) -> int:
        """Answers being made now."""
        return len(self._taken)

    def take(self, key_id: str | None = None) -> Slot:
        """Take a slot for an answer to the holder of `key_id`.

        Raises:
            TooManyStreams: all of them are taken.
        """
        slot = Slot(self, key_id)
        with self._lock:
            if len(self._taken) >= self.limit:
                raise TooManyStreams(
                    f"The node answers {self.limit} requests at once and all are running.",
                    remedy="Retry after the time in the retry-after header.",
                )
            if key_id in self._revoked:
                slot.end("revoked")
            self._taken.add(slot)
        return slot

    def give_back(self, slot: Slot) -> None:
        """Give one slot back; again does nothing."""
        with self._lock:
            self._taken.discard(slot)

    def cut(self, key_id: str) -> int:
        """End the running streams of a revoked key; how many there were.

        Each ends within 250 ms, its receipt sealed `aborted`. Whoever takes a slot for this key
        from now on ends as soon.
        """
        with self._lock:
            self._revoked.add(key_id)
        return self._end([slot for slot in self._snapshot() if slot.key_id == key_id], "revoked")

    def cut_all(self) -> int:
        """End every running stream because the node is stopping; how many there were."""
        return self._end(self._snapshot(), "stopping")

    def _snapshot(self) -> list[Slot]:
        with self._lock:
            return list(self._taken)

    @staticmethod
    def _end(slots: list[Slot], reason: CutReason) -> int:
        for slot in slots:
            slot.end(reason)
        return len(slots)

"""The cap on answers being made at once, and the means to end one from outside.

A slot is taken before the engine is asked and given back when the receipt is sealed. The
server has more threads than slots, so health, the owner's pages and refusals are always
answered. A key may have a cap of its own; `b3iq.node.fairness` says whose turn it is when
slots are short.
"""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Literal

from b3iq.errors import B3iqError
from b3iq.node.fairness import Line

CutReason = Literal["revoked", "stopping"]


class TooManyStreams(B3iqError):
    """Every stream slot is taken; the client may retry after a moment."""

    code = "too_many_streams"
    title = "The node is answering as many requests at once as it is allowed to"
    status = 429
    retry_after_s = 1


class TooManyOfTheKey(TooManyStreams):
    """The key has as many answers running as its own limit allows."""

    code = "concurrency_limit_exceeded"
    title = "The key is being answered as many requests at once as it is allowed to"


class Slot:
    """The right to make one answer; give it back with `release` (any number of times)."""

    def __init__(self, owner: StreamSlots, key_id: str | None, generation: int = 0) -> None:
        self.key_id = key_id
        self.generation = generation
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
        clock: a monotonic time in seconds.
    """

    def __init__(self, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.limit = limit
        self._clock = clock
        self._lock = threading.Lock()
        self._taken: set[Slot] = set()
        self._held: Counter[str] = Counter()
        self._line = Line(limit)
        # A request may have shown its key just before it was revoked and ask for a slot just
        # after; secrets that ended are few and never come back. By key, the first generation
        # that has not ended.
        self._ended: dict[str, float] = {}

    @property
    def active(self) -> int:
        """Answers being made now."""
        return len(self._taken)

    def take(
        self, key_id: str | None = None, *, generation: int = 0, cap: int | None = None
    ) -> Slot:
        """Take a slot for an answer to the holder of `key_id`.

        Args:
            key_id: whose key it is for; None is nobody's, and waits for no turn.
            generation: of the secret that was shown.
            cap: answers at once that the key may have.

        Raises:
            TooManyOfTheKey: the key has its cap.
            TooManyStreams: all of them are taken, or it is the turn of others.
        """
        slot = Slot(self, key_id, generation)
        with self._lock:
            self._admit(key_id, cap)
            if key_id is not None:
                self._held[key_id] += 1
                if generation < self._ended.get(key_id, 0):
                    slot.end("revoked")
            self._taken.add(slot)
        return slot

    def give_back(self, slot: Slot) -> None:
        """Give one slot back; again does nothing."""
        with self._lock:
            if slot not in self._taken:
                return
            self._taken.remove(slot)
            if slot.key_id is not None:
                self._held[slot.key_id] -= 1
                if not self._held[slot.key_id]:
                    del self._held[slot.key_id]

    def cut(self, key_id: str, before: float = math.inf) -> int:
        """End the running streams of a key that was revoked or rotated; how many there were.

        Each ends within 250 ms, its receipt sealed `aborted`. Whoever takes a slot with such a
        secret from now on ends as soon.

        Args:
            key_id: whose streams.
            before: those of secrets of earlier generations than this alone.
        """
        with self._lock:
            self._ended[key_id] = max(before, self._ended.get(key_id, 0))
        running = self._snapshot()
        ended = [slot for slot in running if slot.key_id == key_id and slot.generation < before]
        return self._end(ended, "revoked")

    def cut_all(self) -> int:
        """End every running stream because the node is stopping; how many there were."""
        return self._end(self._snapshot(), "stopping")

    def _admit(self, key_id: str | None, cap: int | None) -> None:
        if cap is not None and key_id is not None and self._held[key_id] >= cap:
            raise TooManyOfTheKey(
                f"This key is answered {cap} requests at once and all are running.",
                remedy="Retry after the time in the retry-after header.",
            )
        free = self.limit - len(self._taken)
        if key_id is None:
            admitted = free > 0
        else:
            admitted = self._line.admits(key_id, free, self._held, self._clock())
        if not admitted:
            why = "it is the turn of other keys" if free else "all are running"
            raise TooManyStreams(
                f"The node answers {self.limit} requests at once and {why}.",
                remedy="Retry after the time in the retry-after header.",
            )

    def _snapshot(self) -> list[Slot]:
        with self._lock:
            return list(self._taken)

    @staticmethod
    def _end(slots: list[Slot], reason: CutReason) -> int:
        for slot in slots:
            slot.end(reason)
        return len(slots)

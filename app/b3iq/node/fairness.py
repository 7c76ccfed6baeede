"""Whose turn it is when stream slots are short, so that no key can starve another.

A key that found no slot stands in line, once, whatever number of clients it has, until it
gets one or has not asked again for a few seconds. While other keys stand in line,

1. a key that holds its share of the slots gets no more: the share is the number of slots
   by the number of keys that hold one or wait, rounded up;
2. a free slot is kept for whoever stands in line longest.

While nobody waits, one key may hold every slot: nothing is kept free for a guest who may
never come. A running answer is not ended for another's sake.
"""

from __future__ import annotations

from collections.abc import Mapping

# Longer than `retry-after` asks for, so that whoever heeds it keeps the place.
PATIENCE_S = 3.0


class Line:
    """The keys that wait for a slot; to be used under the lock of the slots.

    Args:
        slots: how many there are.
    """

    def __init__(self, slots: int) -> None:
        self._slots = slots
        # When each asked last, in the order in which they came.
        self._asked: dict[str, float] = {}

    def admits(self, key_id: str, free: int, held: Mapping[str, int], now: float) -> bool:
        """Whether the key gets one of the free slots; if not, it may stand in line from now on.

        Args:
            key_id: who asks.
            free: slots that nobody holds.
            held: slots of each key that holds any.
            now: a monotonic time in seconds.
        """
        self._forget(now)
        others = self._asked.keys() - {key_id}
        mine = held.get(key_id, 0)
        if others and mine >= self._share(held.keys() | others | {key_id}):
            self._asked.pop(key_id, None)
            return False
        if free > self._ahead_of(key_id):
            self._asked.pop(key_id, None)
            return True
        self._asked[key_id] = now
        return False

    def _forget(self, now: float) -> None:
        gone = [key for key, asked in self._asked.items() if now - asked >= PATIENCE_S]
        for key in gone:
            del self._asked[key]

    def _ahead_of(self, key_id: str) -> int:
        waiting = list(self._asked)
        return waiting.index(key_id) if key_id in self._asked else len(waiting)

    def _share(self, keys: set[str]) -> int:
        return -(-self._slots // len(keys))

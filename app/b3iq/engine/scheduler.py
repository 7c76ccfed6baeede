"""Who runs in the next step: first come, first served, into the cache's slots.

Running sequences always hold slots 0 … n-1, so that a pass reads one dense view of the
cache; when one ends, the last moves into its place.
"""

from __future__ import annotations

from collections import deque

from b3iq.engine.kv_cache import KVCache
from b3iq.engine.runner import Span
from b3iq.engine.sequence import Sequence, State


class Scheduler:
    """Waiting and running sequences; only the engine's thread uses it."""

    def __init__(self, cache: KVCache, *, prefill_budget: int | None) -> None:
        self.waiting: deque[Sequence] = deque()
        self.running: list[Sequence] = []
        self._cache = cache
        # Prompt tokens a step; None takes one whole prompt a step.
        self._budget = prefill_budget

    def admit(self) -> None:
        """Give free slots to the longest waiting."""
        while self.waiting and len(self.running) < self._cache.slots:
            sequence = self.waiting.popleft()
            sequence.slot = len(self.running)
            sequence.state = State.PREFILLING
            self.running.append(sequence)

    def prompt_spans(self) -> list[Span]:
        """Pieces of prompts for this step, bounded so that no decoding sequence waits long."""
        spans: list[Span] = []
        left = self._budget
        for sequence in sorted(self.running, key=lambda s: s.arrived):
            if sequence.state is not State.PREFILLING:
                continue
            missing = len(sequence.prompt) - sequence.cached
            if left is None:
                return [Span(sequence, missing)]
            spans.append(Span(sequence, min(missing, left)))
            left -= spans[-1].length
            if left <= 0:
                break
        return spans

    def decoding(self) -> list[Sequence]:
        """Sequences that take one more token this step, in the order of their slots."""
        return [s for s in self.running if s.state is State.DECODING]

    def retire(self, sequence: Sequence) -> None:
        """Take a sequence out, wherever it is, and close the gap that it leaves."""
        if sequence.state is State.WAITING:
            self.waiting.remove(sequence)
        else:
            last = self.running.pop()
            if last is not sequence:
                self._cache.move(last.slot, sequence.slot, last.cached)
                last.slot = sequence.slot
                self.running[last.slot] = last
        sequence.state = State.FINISHED

    def everyone(self) -> list[Sequence]:
        """All unfinished sequences."""
        return [*self.running, *self.waiting]

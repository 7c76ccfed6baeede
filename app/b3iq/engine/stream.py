"""The way from the engine's thread to the thread that answers the client."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

FinishReason = Literal["stop", "length"]


@dataclass(frozen=True, slots=True)
class Delta:
    """What came since the last one: text, and tokens generated so far in all."""

    text: str
    completion_tokens: int
    finish_reason: FinishReason | None = None


class TokenStream:
    """One request's answer, arriving. Iterate it from one thread; cancel it from any.

    A delta may carry several tokens: the engine bounds how often it wakes readers.

    Attributes:
        prompt_tokens: length of the prompt.
    """

    def __init__(self, prompt_tokens: int) -> None:
        self.prompt_tokens = prompt_tokens
        self._queue: queue.SimpleQueue[Delta | Exception] = queue.SimpleQueue()
        self._cancelled = threading.Event()

    @property
    def cancelled(self) -> bool:
        """Whether somebody asked for the end of this request."""
        return self._cancelled.is_set()

    def cancel(self) -> None:
        """Ask the engine to drop the request; it does before its next step."""
        self._cancelled.set()

    def put(self, delta: Delta) -> None:
        """Called by the engine's thread."""
        self._queue.put(delta)

    def fail(self, error: Exception) -> None:
        """Called by the engine's thread: the reader raises this."""
        self._queue.put(error)

    def __iter__(self) -> Iterator[Delta]:
        """Deltas up to the one that carries a finish reason.

        Raises:
            EngineFailed: a step failed.
            EngineNotReady: the engine stopped before the answer was complete.
            Cancelled: `cancel` was called.
        """
        while True:
            item = self._queue.get()
            if isinstance(item, Exception):
                raise item
            yield item
            if item.finish_reason is not None:
                return

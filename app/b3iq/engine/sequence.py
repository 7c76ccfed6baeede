"""One request as the engine sees it: prompt, sampling settings, state, output so far."""

from __future__ import annotations

import enum
import time
from dataclasses import dataclass, field

from b3iq.engine.detokenize import TextAssembler
from b3iq.engine.stream import Delta, FinishReason, TokenStream

__all__ = ["FinishReason", "SamplingSettings", "Sequence", "State"]


@dataclass(frozen=True)
class SamplingSettings:
    """How the next token is chosen, and when to stop.

    Attributes:
        temperature: 0 is greedy decoding.
        top_p: keep the smallest set of tokens whose probability reaches it, in (0, 1].
        top_k: keep the k likeliest tokens; 0 keeps all.
        seed: chooses the random numbers; the same seed, prompt and settings give the same
            tokens whatever else runs in the batch. None takes one from the system.
        stop: the answer ends before the first of these strings.
        max_tokens: tokens to generate at most; None is up to the end of the context.
        ignore_end: generate past the end-of-turn token (benchmarks only).
    """

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    max_tokens: int | None = None
    ignore_end: bool = False


class State(enum.Enum):
    """Life of a sequence; it only moves forward."""

    WAITING = "waiting"
    PREFILLING = "prefilling"
    DECODING = "decoding"
    FINISHED = "finished"


@dataclass(eq=False)
class Sequence:
    """A request in the engine; only the engine's thread touches it once submitted."""

    prompt: list[int]
    settings: SamplingSettings
    seed: int
    limit: int
    end_tokens: frozenset[int]
    text: TextAssembler
    stream: TokenStream
    state: State = State.WAITING
    slot: int = -1
    # Tokens whose keys and values are in the cache.
    cached: int = 0
    output: list[int] = field(default_factory=list)
    finish_reason: FinishReason | None = None
    arrived: float = field(default_factory=time.monotonic)
    _delivered: int = 0

    @property
    def pending_delivery(self) -> bool:
        """Whether tokens were generated that the stream has not been given."""
        return len(self.output) > self._delivered

    def append(self, token: int) -> None:
        """Take the next token; sets `finish_reason` when it is the last."""
        self.output.append(token)
        self.state = State.DECODING
        if token in self.end_tokens and not self.settings.ignore_end:
            self.finish_reason = "stop"
            return
        # The end token never reaches the text; any other does, and may complete a stop string.
        self.text.push(token)
        if self.settings.stop and self.text.advance():
            self.finish_reason = "stop"
        elif len(self.output) >= self.limit:
            self.finish_reason = "length"

    def deliver(self) -> None:
        """Give the stream what was generated since the last delivery."""
        self._delivered = len(self.output)
        finished = self.finish_reason is not None
        text = self.text.take(final=finished)
        if self.text.stopped:
            self.finish_reason = "stop"
        self.stream.put(Delta(text, len(self.output), self.finish_reason))

"""What the engine's thread does, step after step: admit, prefill, decode, sample, deliver."""

from __future__ import annotations

import time
from collections.abc import Callable

from b3iq.engine.errors import Cancelled, EngineNotReady
from b3iq.engine.loading import LoadedModel
from b3iq.engine.metrics import Metrics
from b3iq.engine.sampler import sample
from b3iq.engine.scheduler import Scheduler
from b3iq.engine.sequence import Sequence

# Prompt tokens a step: what a decoding sequence waits for at most between two tokens.
_PREFILL_BUDGET = 512
# Readers are woken at most this often in all (per second): at high rates a delta carries
# several tokens, and the threads that write to clients leave the cores to the model.
_WAKEUPS_PER_SECOND = 2000.0


class StepLoop:
    """The state of the engine's thread; nothing here is called from another."""

    def __init__(
        self, model: LoadedModel, metrics: Metrics, on_end: Callable[[Sequence], None]
    ) -> None:
        budget = None if model.runner.exact else _PREFILL_BUDGET
        self.scheduler = Scheduler(model.cache, prefill_budget=budget)
        self._runner = model.runner
        self._slots = model.cache.slots
        self._metrics = metrics
        self._on_end = on_end
        self._last_delivery = time.monotonic()

    @property
    def idle(self) -> bool:
        """Whether nothing runs and nothing waits."""
        return not self.scheduler.running and not self.scheduler.waiting

    def turn(self, arrived: list[Sequence], *, over: bool) -> None:
        """One turn: take in what arrived, drop what was cancelled, run one step.

        Args:
            arrived: new requests, oldest first.
            over: the time to drain is over; everything ends.

        Raises:
            Exception: whatever a step raised; the sequences are still in the scheduler.
        """
        self.scheduler.waiting.extend(arrived)
        self._drop(over=over)
        self.scheduler.admit()
        if self.scheduler.running:
            started = time.monotonic()
            self._step()
            self._metrics.steps.inc()
            self._metrics.step_seconds.observe(time.monotonic() - started)
        running = len(self.scheduler.running)
        self._metrics.running.set(running)
        self._metrics.waiting.set(len(self.scheduler.waiting))
        self._metrics.cache_usage.set(running / self._slots)

    def _drop(self, *, over: bool) -> None:
        for sequence in self.scheduler.everyone():
            if sequence.stream.cancelled:
                self._end(sequence, Cancelled("The client left."), "cancelled")
            elif over:
                self._end(sequence, EngineNotReady("The engine is stopping."), "stopping")

    def _end(self, sequence: Sequence, error: Exception, reason: str) -> None:
        self.scheduler.retire(sequence)
        self._metrics.ended.labels(reason=reason).inc()
        sequence.stream.fail(error)
        self._on_end(sequence)

    def _step(self) -> None:
        spans = self.scheduler.prompt_spans()
        if spans:
            complete = [span.sequence for span in spans if span.completes]
            logits = self._runner.prefill(spans)
            self._metrics.prompt_tokens.inc(sum(span.length for span in spans))
            if complete:
                self._take(complete, sample(logits, complete))
        decoding = self.scheduler.decoding()
        if decoding:
            self._take(decoding, sample(self._runner.decode(decoding), decoding))
        self._deliver()

    def _take(self, sequences: list[Sequence], tokens: list[int]) -> None:
        self._metrics.generation_tokens.inc(len(tokens))
        now = time.monotonic()
        for sequence, token in zip(sequences, tokens, strict=True):
            sequence.append(token)
            if len(sequence.output) == 1:
                self._metrics.first_token_seconds.observe(now - sequence.arrived)
            if sequence.finish_reason is not None:
                self._finish(sequence, now)
            elif len(sequence.output) == 1:
                sequence.deliver()

    def _finish(self, sequence: Sequence, now: float) -> None:
        self.scheduler.retire(sequence)
        # Counted and released before the reader is told: who reads the end of an answer and
        # asks at once finds the slot free and the counters right.
        self._metrics.finish(sequence, now)
        self._on_end(sequence)
        if sequence.pending_delivery:
            sequence.deliver()

    def _deliver(self) -> None:
        now = time.monotonic()
        running = self.scheduler.running
        if now - self._last_delivery < len(running) / _WAKEUPS_PER_SECOND:
            return
        self._last_delivery = now
        for sequence in running:
            if sequence.pending_delivery:
                sequence.deliver()

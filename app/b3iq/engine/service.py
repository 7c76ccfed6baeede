"""The engine: a loaded model, the thread that runs it, and the door for everybody else.

Use it without HTTP (benchmarks, tests):

    engine = Engine(EngineConfig(model="b3iq-smoke"), model_dir)
    engine.start().wait_ready()
    prompt = engine.encode_chat([{"role": "user", "content": "Hello"}])
    stream = engine.submit(prompt, SamplingSettings(temperature=0, max_tokens=64))
    for delta in stream:
        ...                     # delta.text, delta.completion_tokens, delta.finish_reason
    engine.stop()

When a step fails, by an exception or by logits that are not finite, the memory of the whole
process is suspect: every sequence ends with `EngineFailed`, the loop ends, and `on_failure`
is called. The server's `on_failure` lets the error events reach the clients and then exits
with status 1; gunicorn's arbiter starts a new worker, which verifies and loads the model
afresh. A failure to load exits with status 4, which ends the arbiter too, so that systemd
shows the unit as failed instead of a loop of restarts.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import torch

from b3iq.config import EngineConfig
from b3iq.engine.detokenize import TextAssembler
from b3iq.engine.errors import (
    ContextLengthExceeded,
    EngineFailed,
    EngineNotReady,
    EngineOverloaded,
    RequestRefused,
)
from b3iq.engine.loading import LoadedModel, load_model
from b3iq.engine.loop import StepLoop
from b3iq.engine.metrics import Metrics
from b3iq.engine.sequence import SamplingSettings, Sequence
from b3iq.engine.stream import TokenStream

__all__ = ["Engine", "SamplingSettings", "TokenStream"]

_log = logging.getLogger(__name__)
# How often an idle loop shows that it is alive.
_IDLE_S = 0.5
# Reading a prompt takes up to 350 bytes of memory and 5 microseconds of a core a character, so
# prompts of more characters than this are read one at a time; how long one waits its turn.
_LONG_PROMPT = 64 * 1024
_READING_S = 10.0


class Engine:
    """One loaded model and the thread that runs it. Safe to call from any thread.

    Attributes:
        metrics: counters of this engine.
        heartbeat: monotonic time when the loop last showed that it is alive.
    """

    def __init__(
        self,
        config: EngineConfig,
        model_dir: Path,
        *,
        on_ready: Callable[[], None] | None = None,
        on_failure: Callable[[BaseException], None] | None = None,
    ) -> None:
        self.metrics = Metrics()
        self.heartbeat = time.monotonic()
        self._config = config
        self._model_dir = model_dir
        self._on_ready = on_ready
        self._on_failure = on_failure
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._changed = threading.Condition()
        self._reading = threading.Lock()
        self._inbox: list[Sequence] = []
        self._unfinished = 0
        self._loaded: LoadedModel | None = None
        self._failure: BaseException | None = None
        self._deadline: float | None = None
        self._stopped = False
        self._ready = threading.Event()

    def start(self) -> Self:
        """Start loading the model; returns at once."""
        self._thread.start()
        return self

    def wait_ready(self, timeout_s: float | None = None) -> None:
        """Wait until requests are taken.

        Raises:
            ModelRefused, ConfigError: the model could not be loaded.
            EngineNotReady: it is still loading after the time given.
        """
        if not self._ready.wait(timeout_s):
            raise EngineNotReady("The model is still loading.")
        if self._failure is not None:
            raise self._failure

    @property
    def ready(self) -> bool:
        """Whether requests are taken now."""
        return self._loaded is not None and self._failure is None and self._deadline is None

    @property
    def loading(self) -> bool:
        """Whether no model was loaded yet."""
        return self._loaded is None

    @property
    def model(self) -> LoadedModel:
        """The model that is served.

        Raises:
            EngineNotReady: it is not loaded, or the engine failed.
        """
        if self._loaded is None or self._failure is not None:
            raise EngineNotReady("The model is loading.", remedy="Try again in a moment.")
        return self._loaded

    @property
    def unfinished(self) -> int:
        """Requests that were accepted and have not ended."""
        return self._unfinished

    def encode_chat(self, messages: list[dict[str, Any]]) -> list[int]:
        """Prompt tokens of a conversation, by the model's chat template.

        Raises:
            EngineNotReady: no model is loaded.
            ContextLengthExceeded: no text of this length fits, whatever its tokens are.
            EngineOverloaded: other long prompts are being read.
            RequestRefused: the chat template does not take these messages.
        """
        model = self.model
        characters = sum(len(message["content"]) for message in messages)
        if characters > model.context_length * model.tokenizer.longest_token:
            raise ContextLengthExceeded(
                f"The messages have {characters} characters; no text of that length fits into "
                f"{model.context_length} tokens.",
                remedy="Shorten the messages.",
                param="messages",
            )
        if characters <= _LONG_PROMPT:
            return model.tokenizer.encode_chat(messages)
        if not self._reading.acquire(timeout=_READING_S):
            raise EngineOverloaded(
                "Other long prompts are being read.", remedy="Try again in a moment."
            )
        try:
            return model.tokenizer.encode_chat(messages)
        finally:
            self._reading.release()

    def submit(self, prompt: list[int], settings: SamplingSettings) -> TokenStream:
        """Queue a prompt of at least one token.

        Raises:
            EngineNotReady: loading, stopping or failed.
            EngineOverloaded: no slot and no place in the queue.
            ContextLengthExceeded: the prompt leaves no room for an answer.
            RequestRefused: a token is outside the model's vocabulary.
        """
        sequence = self._sequence(prompt, settings)
        with self._changed:
            if not self.ready:
                raise EngineNotReady("The engine is stopping.", remedy="Try again in a moment.")
            if self._unfinished >= self.model.cache.slots + self._config.queue_limit:
                raise EngineOverloaded(
                    "Every slot and every place in the queue is taken.",
                    remedy="Try again in a moment.",
                )
            self._unfinished += 1
            self._inbox.append(sequence)
            self._changed.notify()
        return sequence.stream

    def _sequence(self, prompt: list[int], settings: SamplingSettings) -> Sequence:
        model = self.model
        if not prompt or not 0 <= min(prompt) <= max(prompt) < model.architecture.vocabulary:
            raise RequestRefused(
                "The prompt is empty or holds tokens that the model does not know.",
                param="messages",
            )
        room = model.context_length - len(prompt)
        if room < 1:
            raise ContextLengthExceeded(
                f"The prompt has {len(prompt)} tokens; prompt and answer together may have "
                f"{model.context_length}.",
                remedy="Shorten the messages.",
                param="messages",
            )
        return Sequence(
            prompt=prompt,
            settings=settings,
            seed=secrets.randbits(63) if settings.seed is None else settings.seed,
            limit=room if settings.max_tokens is None else min(room, settings.max_tokens),
            end_tokens=model.tokenizer.end_tokens,
            text=TextAssembler(model.tokenizer.decoder, settings.stop),
            stream=TokenStream(len(prompt)),
        )

    def drain(self, timeout_s: float) -> None:
        """Take no new request; end what is left after the time given. Returns at once."""
        with self._changed:
            self._deadline = time.monotonic() + timeout_s
            self._changed.notify()

    def stop(self, timeout_s: float = 0.0) -> None:
        """Drain, then end the thread and wait for it."""
        self.drain(timeout_s)
        with self._changed:
            self._stopped = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join()

    # The engine's thread.

    def _run(self) -> None:
        try:
            self._loaded = load_model(self._config, self._model_dir)
        # The panic of a Rust library is no Exception; unseen, the engine would load for ever.
        except BaseException as error:  # noqa: BLE001 - whatever it is, the process must say so
            self._fail(error, [])
            return
        loop = StepLoop(self._loaded, self.metrics, self._release)
        self._ready.set()
        if self._on_ready is not None:
            self._on_ready()
        try:
            with torch.inference_mode():
                self._work(loop)
        except BaseException as error:  # noqa: BLE001 - no request may be left without an answer
            self._fail(error, loop.scheduler.everyone())

    def _fail(self, error: BaseException, sequences: list[Sequence]) -> None:
        _log.error("engine_failed", exc_info=error)
        with self._changed:
            self._failure = error
            left = [*sequences, *self._inbox]
            self._inbox.clear()
        for sequence in left:
            self.metrics.ended.labels(reason="failed").inc()
            sequence.stream.fail(
                EngineFailed("The engine failed while answering.", remedy="Send the request again.")
            )
        self._ready.set()
        if self._on_failure is not None:
            self._on_failure(error)

    def _work(self, loop: StepLoop) -> None:
        while True:
            with self._changed:
                if not self._inbox and loop.idle:
                    if self._stopped:
                        return
                    self._changed.wait(_IDLE_S)
                arrived = list(self._inbox)
                self._inbox.clear()
                over = self._deadline is not None and time.monotonic() >= self._deadline
            self.heartbeat = time.monotonic()
            loop.turn(arrived, over=over)

    def _release(self, _: Sequence) -> None:
        with self._changed:
            self._unfinished -= 1

"""One answer from its first byte to its sealed receipt: the accounting, apart from HTTP.

Steps, numbered as in docs/architecture.md:
8. A stream slot is taken; none free is a 429.
9. The request is sent to the engine and, while that works, a receipt row is opened. For a key
   with rates it is opened first: a request that is not let in sends nothing.
10. The engine accepts (else the row is withdrawn: no work was done) or dies (sealed `failed`).
12. Tokens arrive and are counted as the engine counts them; the counts are noted once a
    second, so that a crash of the node leaves them within a second of the truth.
13. However it ends, the receipt is sealed exactly once, the connection to the engine is
    closed, which cancels what is left, and the slot is given back.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

from b3iq.errors import B3iqError
from b3iq.node.chat_schema import ChatRequest
from b3iq.node.engine_client import EngineChunk, EngineModel, EngineStream, Usage
from b3iq.node.engine_errors import EngineFailed, EngineUnavailable, failed
from b3iq.node.engine_wire import ClientGone, StreamCut
from b3iq.node.limits import Admission, check_model
from b3iq.node.services import Services
from b3iq.node.streams import Slot
from b3iq.receipts.log import OpenReceipt
from b3iq.receipts.record import Receipt, Status

_NOTE_EVERY_S = 1.0
_log = logging.getLogger(__name__)


class StreamEnded(B3iqError):
    """The node ended an answer itself: the key was revoked, or the node is stopping."""

    code = "stream_ended"
    title = "The node ended the answer"
    status = 503


class Answer:
    """An answer that the engine has accepted; iterate `batches`, then `finish` it.

    Attributes:
        usage: tokens received so far.
        finish_reason: how the engine ended it; None until it did.
    """

    def __init__(
        self,
        services: Services,
        model: EngineModel,
        slot: Slot,
        admission: Admission,
        started: float,
    ) -> None:
        self._admission = admission
        self._receipts = services.receipts
        self._runtime_kind = services.config.runtime_kind
        self._slot = slot
        self._started = started
        self._first_token: float | None = None
        self._noted = started
        self._open: OpenReceipt | None = None
        self._stream: EngineStream | None = None
        self._ended = threading.Lock()
        self._receipt: Receipt | None = None
        self.model = model
        self.usage = Usage()
        self.finish_reason: str | None = None

    @property
    def runtime_id(self) -> str:
        """Names the runtime: its kind and the weights that it holds."""
        return f"{self._runtime_kind}-{(self.model.weights_sha256 or '')[:12]}"

    def begin(self, services: Services, request: ChatRequest, client: socket.socket | None) -> None:
        """Steps 9 and 10.

        Raises:
            ContextLengthExceeded, EngineRefused, EngineOverloaded, EngineUnavailable: not
                accepted; there is no receipt.
            EngineFailed, ClientGone, StreamCut: it ended early; the receipt is sealed.
            RateLimited: others came first; nothing was sent and there is no receipt.
        """
        if self._admission.has_rates:
            self._open = self._open_receipt()
        try:
            exchange = services.engine.begin(request.engine_request())
            try:
                self._open = self._open or self._open_receipt()
            except BaseException:
                exchange.close()
                raise
            self._stream = services.engine.stream(exchange, client, self._slot.is_cut)
        except (EngineFailed, ClientGone, StreamCut):
            raise
        except B3iqError:
            if self._open is not None:
                self._receipts.withdraw(self._open)
                self._open = None
            raise

    def batches(self) -> Iterator[str]:
        """Step 12: the text as it arrives, what arrived together in one piece.

        Raises:
            EngineFailed, ClientGone, StreamCut: it ended early.
        """
        assert self._stream is not None  # noqa: S101 - narrows the type; `begin` set it
        try:
            for chunks in self._stream.batches():
                for chunk in chunks:
                    self._count(chunk)
                text = "".join(chunk.text for chunk in chunks)
                if text:
                    yield text
        except EngineFailed:
            # All that the client is owed had arrived; only the farewell is missing.
            if self.finish_reason is None:
                raise
        if self.finish_reason is None:
            raise failed()

    def finish(self, status: Status) -> dict[str, Any]:
        """Step 13; the first status stands. The facts of the answer: the `b3iq` object."""
        latency_ms = (time.monotonic() - self._started) * 1000
        ttft_ms = (self._first_token - self._started) * 1000 if self._first_token else None
        if self._ended.acquire(blocking=False):
            try:
                self._seal(status, latency_ms, ttft_ms)
            finally:
                if self._stream is not None:
                    self._stream.close()
                self._slot.release()
        return {
            "runtime_id": self.runtime_id,
            "runtime_kind": self._runtime_kind,
            "latency_ms": round(latency_ms, 1),
            "ttft_ms": None if ttft_ms is None else round(ttft_ms, 1),
            "receipt_hash": self._receipt.receipt_hash if self._receipt else None,
        }

    def finish_early(self, error: Exception) -> tuple[B3iqError | None, dict[str, Any]]:
        """Step 13 for an answer that `error` ended.

        Returns:
            What the client is told, None if it is gone; and the facts of the answer.
        """
        if isinstance(error, ClientGone):
            return None, self.finish("aborted")
        if isinstance(error, StreamCut):
            revoked = self._slot.cut == "revoked"
            facts = self.finish("aborted" if revoked else "interrupted")
            why = "The local key was revoked." if revoked else "The node is stopping."
            return StreamEnded(why), facts
        facts = self.finish("failed")
        if isinstance(error, B3iqError):
            return error, facts
        _log.error("answer_failed", exc_info=error)
        return B3iqError("The node failed while it was making the answer."), facts

    def _open_receipt(self) -> OpenReceipt:
        return self._receipts.open(
            model_id=self.model.id,
            model_digest=str(self.model.weights_sha256),
            runtime_kind=self._runtime_kind,
            key_id_of_local_key=self._slot.key_id,
            admit=self._admission.look,
        )

    def _count(self, chunk: EngineChunk) -> None:
        now = time.monotonic()
        if chunk.text and self._first_token is None:
            self._first_token = now
        if chunk.usage is not None:
            self.usage = chunk.usage
        elif chunk.text:
            # A server without continuous_usage_stats sends a token an event.
            self.usage = Usage(self.usage.prompt_tokens, self.usage.completion_tokens + 1)
        if chunk.finish_reason is not None:
            self.finish_reason = chunk.finish_reason
        if now - self._noted >= _NOTE_EVERY_S and self._open is not None:
            self._noted = now
            self._receipts.progress(
                self._open,
                prompt_tokens=self.usage.prompt_tokens,
                completion_tokens=self.usage.completion_tokens,
            )

    def _seal(self, status: Status, latency_ms: float, ttft_ms: float | None) -> None:
        if self._open is None:
            return
        self._receipt = self._receipts.seal(
            self._open,
            status=status,
            prompt_tokens=self.usage.prompt_tokens,
            completion_tokens=self.usage.completion_tokens,
            latency_ms=latency_ms,
            ttft_ms=ttft_ms,
        )


def prepare(
    services: Services, request: ChatRequest, admission: Admission, started: float
) -> Answer:
    """Step 8.

    Raises:
        ModelNotAllowed, ModelNotFound, EngineUnavailable: the model cannot be asked.
        TooManyStreams: every slot is taken, or as many as the key may have.
    """
    key = admission.key
    check_model(key, request.model)
    model = services.engine.model(request.model)
    if model.weights_sha256 is None:
        raise EngineUnavailable(
            "The engine does not state the digest of its weights.",
            remedy="A receipt needs it; the node's operator must configure it.",
        )
    slot = services.streams.take(key.key_id, generation=key.generation, cap=key.limits.concurrency)
    return Answer(services, model, slot, admission, started)

"""The engine's counters, by vLLM's names where vLLM has one, so that its dashboards work."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from b3iq.engine.sequence import Sequence

_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)


class Metrics:
    """One registry an engine; numbers and durations only, nothing of any request's content."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.prompt_tokens = self._counter(
            "vllm:prompt_tokens", "Prompt tokens put into the cache."
        )
        self.generation_tokens = self._counter("vllm:generation_tokens", "Tokens generated.")
        self.running = self._gauge("vllm:num_requests_running", "Sequences that hold a slot.")
        self.waiting = self._gauge("vllm:num_requests_waiting", "Sequences in the queue.")
        self.cache_usage = self._gauge("vllm:kv_cache_usage_perc", "Share of slots in use, 0 to 1.")
        self.finished = self._counter(
            "vllm:request_success", "Requests answered to their end.", "finished_reason"
        )
        self.ended = self._counter(
            "b3iq_engine_requests_ended", "Requests that ended otherwise.", "reason"
        )
        self.steps = self._counter("b3iq_engine_steps", "Steps of the engine's loop.")
        self.step_seconds = self._histogram("b3iq_engine_step_seconds", "Duration of a step.")
        self.first_token_seconds = self._histogram(
            "vllm:time_to_first_token_seconds", "From arrival to the first token."
        )
        self.request_seconds = self._histogram(
            "vllm:e2e_request_latency_seconds", "From arrival to the last token."
        )

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(name, text, registry=self.registry)

    def _histogram(self, name: str, text: str) -> Histogram:
        return Histogram(name, text, buckets=_SECONDS, registry=self.registry)

    def finish(self, sequence: Sequence, now: float) -> None:
        """Count a request that was answered to its end; `now` is monotonic seconds."""
        self.finished.labels(finished_reason=sequence.finish_reason).inc()
        self.request_seconds.observe(now - sequence.arrived)

    def render(self) -> bytes:
        """Prometheus text format."""
        return generate_latest(self.registry)

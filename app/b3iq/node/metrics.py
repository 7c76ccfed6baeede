"""Counters of the node, for Prometheus; labels never come from a client's words."""

from __future__ import annotations

from flask import Flask, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import Counter, Gauge, Histogram

from b3iq.node.streams import StreamSlots
from b3iq.receipts.record import Receipt

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)


class Metrics:
    """The registry of one application.

    Tokens, statuses and latencies are counted from sealed receipts and from nothing
    else, so that the metrics and the receipts of one run cannot disagree.
    """

    def __init__(self, streams: StreamSlots) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "b3iq_node_requests",
            "Requests answered.",
            ["route", "method", "status"],
            registry=self.registry,
        )
        self._receipts = Counter(
            "b3iq_node_receipts", "Receipts sealed.", ["status"], registry=self.registry
        )
        self._tokens = Counter(
            "b3iq_node_tokens", "Tokens on sealed receipts.", ["kind"], registry=self.registry
        )
        self._latency = Histogram(
            "b3iq_node_completion_seconds",
            "From the request to the end of its answer.",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._first = Histogram(
            "b3iq_node_time_to_first_token_seconds",
            "From the request to its first token.",
            buckets=_SECONDS,
            registry=self.registry,
        )
        Gauge("b3iq_node_streams", "Answers being made.", registry=self.registry).set_function(
            lambda: streams.active
        )
        Gauge("b3iq_node_stream_limit", "Answers made at once.", registry=self.registry).set(
            streams.limit
        )

    def count_receipt(self, receipt: Receipt) -> None:
        """Count one sealed receipt."""
        body = receipt.receipt
        self._receipts.labels(body.status).inc()
        self._tokens.labels("prompt").inc(body.usage.prompt_tokens)
        self._tokens.labels("completion").inc(body.usage.completion_tokens)
        if body.latency_ms is not None:
            self._latency.observe(body.latency_ms / 1000)
        if body.ttft_ms is not None:
            self._first.observe(body.ttft_ms / 1000)


def get_metrics() -> Response:
    """GET /metrics."""
    from b3iq.node.services import services  # which imports this module

    return Response(generate_latest(services().metrics.registry), mimetype=CONTENT_TYPE_LATEST)


def register(app: Flask) -> None:
    """Add the route."""
    app.add_url_rule("/metrics", view_func=get_metrics)

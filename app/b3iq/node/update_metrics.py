"""Gauges of the updater, read at each scrape from the file that it writes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from b3iq.updates import status as status_


class UpdateMetrics(Collector):
    """Nothing where no updater has written a status; a gap is what an alert can see."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The gauges; times are seconds from now, negative once they are over."""
        status = status_.read(self._file)
        if status is None:
            return
        yield GaugeMetricFamily(
            "b3iq_update_available", "Whether a newer release was seen.",
            value=float(status.available is not None),
        )  # fmt: skip
        if status.checked_at is not None:
            yield GaugeMetricFamily(
                "b3iq_update_checked_timestamp_seconds", "When a repository was last verified.",
                value=status.checked_at.timestamp(),
            )  # fmt: skip
        if status.chain is not None:
            expiry = GaugeMetricFamily(
                "b3iq_update_metadata_expires_seconds",
                "Until the signed metadata seen last expires.",
                labels=["role"],
            )
            for role, when in sorted(status.chain.expires.items()):
                expiry.add_metric([role], when.timestamp() - time.time())
            yield expiry

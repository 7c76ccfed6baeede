"""Telling systemd that the engine's loop is alive (WatchdogSec= in the unit).

The loop only notes the time; this thread passes it on, so that a loop that hangs in a step
is noticed, and a model that takes minutes to load again after a crash is not killed for it.
"""

from __future__ import annotations

import threading
import time

from b3iq import systemd
from b3iq.engine.service import Engine


def start_watchdog(engine: Engine) -> bool:
    """Ping systemd for as long as the engine is well; False where nobody asked for it."""
    interval = systemd.watchdog_interval_s()
    if interval is None:
        return False
    threading.Thread(target=_run, args=(engine, interval), name="watchdog", daemon=True).start()
    return True


def _run(engine: Engine, interval_s: float) -> None:
    while True:
        if engine.loading or time.monotonic() - engine.heartbeat < interval_s:
            systemd.notify("WATCHDOG=1")
        time.sleep(interval_s / 2)

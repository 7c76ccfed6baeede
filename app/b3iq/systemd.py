"""The one door to systemd: readiness notices and the watchdog.

Everything here does nothing, and says so by its return value, where systemd is absent
(a laptop running `b3iq serve`, a machine with only the engine).
"""

from __future__ import annotations

import os

try:
    from systemd import daemon as _daemon
except ImportError:  # the engine may run on a machine without python-systemd
    _daemon = None


def notify(state: str) -> bool:
    """Send an sd_notify(3) state such as ``READY=1``; False where nobody listens."""
    if _daemon is None or "NOTIFY_SOCKET" not in os.environ:
        return False
    return bool(_daemon.notify(state))


def watchdog_interval_s() -> float | None:
    """Half of the watchdog time that systemd set for this process, in seconds."""
    usec = os.environ.get("WATCHDOG_USEC")
    return int(usec) / 2_000_000 if usec else None

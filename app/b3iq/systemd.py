"""The one door to systemd: readiness notices, the watchdog, and what it says of units.

Notices do nothing, and say so by their return value, where systemd is absent
(a laptop running `b3iq serve`, a machine with only the engine). Questions are commands that
the caller runs, and their answers are read here.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

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


def show_command(units: Sequence[str]) -> list[str]:
    """The command that shows every property of units, empty ones too (systemctl(1))."""
    return ["systemctl", "show", "--all", "--no-pager", *units]


def parse_show(text: str, units: Sequence[str]) -> dict[str, dict[str, str]]:
    """Properties by unit, from its answer: one block each, in the order that was asked.

    A unit that systemd does not know has a block too; one that is missing is empty here.
    """
    blocks = [block for block in text.split("\n\n") if block.strip()]
    found: dict[str, dict[str, str]] = {unit: {} for unit in units}
    for block in blocks:
        properties = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        if properties.get("Id") in found:
            found[properties["Id"]] = properties
    return found


def exposure_command(unit: str) -> list[str]:
    """The command that scores how exposed a unit is (systemd-analyze(1))."""
    return ["systemd-analyze", "security", "--no-pager", unit]


def parse_exposure(text: str) -> float | None:
    """The score on a scale of 10, from its answer."""
    said = re.search(r"Overall exposure level for \S+: ([0-9.]+)", text)
    return float(said.group(1)) if said else None


def parse_version(text: str) -> int | None:
    """systemd's version, from `systemctl --version`."""
    said = re.match(r"systemd (\d+)", text)
    return int(said.group(1)) if said else None

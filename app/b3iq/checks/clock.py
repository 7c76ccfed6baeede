"""The clock stands before a moment that this machine has already seen."""

from __future__ import annotations

from datetime import UTC, datetime

from b3iq.checks.check import Check, Finding, failed, ok
from b3iq.checks.host import Host
from b3iq.updater import floors
from b3iq.updater.status import floors_file

# The node was first written then; no host installed it before.
_EARLIEST = datetime(2026, 1, 1, tzinfo=UTC)


def _look(host: Host) -> Finding:
    seen = floors.read(floors_file(host.paths), required=False) if host.installed else None
    latest = _EARLIEST if seen is None else seen.latest_time or _EARLIEST
    now = host.machine.now()
    if now < latest:
        return failed(
            f"The clock says {now:%Y-%m-%d %H:%M}Z, but it has been {latest:%Y-%m-%d %H:%M}Z. "
            "Updates are refused, and keys live longer than they should.",
            "Set the clock, and let a time service keep it (timedatectl set-ntp true).",
        )
    return ok("The clock is not behind what this machine has seen.")


CHECK = Check(
    id="clock",
    title="the clock has not gone back",
    examines="the time, and that of the last verified release",
    look=_look,
    needs=("rollback-floors",),
)

"""A unit file was changed, and systemd still runs the former one."""

from __future__ import annotations

from b3iq.checks.check import Check, Finding, ok, warning
from b3iq.checks.host import UNITS, Host


def _look(host: Host) -> Finding:
    stale = [unit for unit in UNITS if host.units[unit].get("NeedDaemonReload") == "yes"]
    if stale:
        return warning(
            f"systemd has not read the present files of {', '.join(stale)}. The checks of "
            "the units speak of the former ones.",
            "Run `systemctl daemon-reload`, and doctor again.",
        )
    return ok("systemd has read the unit files as they are.")


CHECK = Check(
    id="units-reloaded",
    title="what systemd runs is what the unit files say",
    examines="`NeedDaemonReload` of the four units",
    look=_look,
    host_only=True,
)

"""A service keeps ending and being started again."""

from __future__ import annotations

from b3iq.checks.check import Check, Finding, ok, warning
from b3iq.checks.host import SERVICES, Host

MANY = 5


def _look(host: Host) -> Finding:
    counts = {unit: int(host.units[unit].get("NRestarts") or 0) for unit in SERVICES}
    often = [f"{unit} was restarted {n} times" for unit, n in counts.items() if n >= MANY]
    if often:
        return warning(
            f"{'; '.join(often)}.",
            "Read the journal of the unit around its last ends: `journalctl -u UNIT -p warning`.",
        )
    return ok("systemd had to restart no service often.")


CHECK = Check(
    id="restarts",
    title="the services do not end by themselves",
    examines=f"restarts since each service was started: below {MANY}",
    look=_look,
    host_only=True,
)

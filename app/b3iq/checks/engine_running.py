"""The engine's service or its socket is not running."""

from __future__ import annotations

from b3iq.checks.check import Check, Finding, judged
from b3iq.checks.host import ENGINE, ENGINE_SOCKET, Host


def _look(host: Host) -> Finding:
    faults = [
        f"{unit} is {host.units[unit].get('ActiveState') or 'unknown'}"
        for unit in (ENGINE, ENGINE_SOCKET)
        if not host.runs(unit)
    ]
    return judged(
        faults,
        fine="The service and its socket are active.",
        remedy="Read `journalctl -u b3iq-engine`, then `systemctl start b3iq-engine.service`.",
    )


CHECK = Check(
    id="engine-running",
    title="the engine runs",
    examines="`b3iq-engine.service` and `b3iq-engine.socket`",
    look=_look,
    host_only=True,
)

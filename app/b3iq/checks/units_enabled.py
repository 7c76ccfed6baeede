"""A unit is not enabled: after the next boot the node does not come back."""

from __future__ import annotations

from b3iq.checks.check import Check, Finding, judged
from b3iq.checks.host import UNITS, Host


def _look(host: Host) -> Finding:
    faults = [
        f"{unit} is {host.units[unit].get('UnitFileState') or 'not installed'}"
        for unit in UNITS
        if host.units[unit].get("UnitFileState") != "enabled"
    ]
    return judged(
        faults,
        fine="All units start at boot.",
        remedy="Run `systemctl enable b3iq-node.service b3iq-engine.service`.",
    )


CHECK = Check(
    id="units-enabled",
    title="node and engine start at boot",
    examines="the state of the four unit files",
    look=_look,
    host_only=True,
)

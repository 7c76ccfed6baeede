"""The node's service or its socket is not running."""

from __future__ import annotations

from b3iq.checks.check import Check, Finding, judged
from b3iq.checks.host import NODE, NODE_SOCKET, Host


def _look(host: Host) -> Finding:
    faults = [
        f"{unit} is {host.units[unit].get('ActiveState') or 'unknown'}"
        for unit in (NODE, NODE_SOCKET)
        if not host.runs(unit)
    ]
    return judged(
        faults,
        fine="The service and its socket are active.",
        remedy="Read `journalctl -u b3iq-node`, then `systemctl start b3iq-node.service`.",
    )


CHECK = Check(
    id="node-running",
    title="the node runs",
    examines="`b3iq-node.service` and `b3iq-node.socket`",
    look=_look,
    host_only=True,
)

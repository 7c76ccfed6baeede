"""The node does not answer the administrator, and so its database may not answer the node."""

from __future__ import annotations

from b3iq.checks.check import Check, Finding, failed, ok
from b3iq.checks.host import Host


def _look(host: Host) -> Finding:
    if host.node_status is None:
        return failed(
            "The node does not answer on its admin socket.",
            "Read `journalctl -u b3iq-node`, then `systemctl restart b3iq-node.socket "
            "b3iq-node.service`.",
        )
    return ok("The node answers, and so does its database.")


CHECK = Check(
    id="admin-answers",
    title="the administrator reaches the node, and the node its database",
    examines="`/admin/status` on the admin socket",
    look=_look,
    needs=("node-answers",),
)

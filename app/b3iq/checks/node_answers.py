"""The node's process runs, or should, and its clients get no answer."""

from __future__ import annotations

from b3iq.checks.check import Check, Finding, failed, ok
from b3iq.checks.host import Host


def _look(host: Host) -> Finding:
    port = host.node_config.listen_port
    answer = host.machine.get("/health", port=port)
    if answer is None or answer.get("status") != "ok":
        return failed(
            f"No good answer comes from http://localhost:{port}/health.",
            "Read `journalctl -u b3iq-node`; of a development node, log/node.log, or start it "
            "with `b3iq serve`.",
        )
    return ok(f"It answers on http://localhost:{port}.")


CHECK = Check(
    id="node-answers",
    title="clients reach the node",
    examines="`/health` on the node's port",
    look=_look,
    needs=("node-settings", "node-running"),
)

"""The engine's process runs, or should, and does not answer."""

from __future__ import annotations

from b3iq.checks.check import Check, Finding, failed, ok
from b3iq.checks.host import Host


def _look(host: Host) -> Finding:
    if host.machine.get("/health", socket=host.paths.engine_socket) is None:
        return failed(
            "The engine does not answer on its socket.",
            "Loading a model may take a minute: try again. Then read `journalctl -u b3iq-engine`; "
            "of a development node, log/engine.log.",
        )
    return ok("It answers on its socket.")


CHECK = Check(
    id="engine-answers",
    title="the engine is there for the node",
    examines="`/health` on the engine's socket",
    look=_look,
    needs=("engine-running",),
)

"""The audit log has lost what its checkpoint names: somebody changed it, or a disk did."""

from __future__ import annotations

from b3iq.checks.check import Check, Finding, failed, ok
from b3iq.checks.host import Host


def _look(host: Host) -> Finding:
    # A release before the audit log says nothing about one.
    if (host.node_status or {}).get("audit_intact", True):
        return ok("The audit log has reached its checkpoint.")
    return failed(
        "The audit log does not hold what its checkpoint names.",
        "Run `b3iq audit export --file FILE` to keep the evidence, then `b3iq audit verify`.",
    )


CHECK = Check(
    id="audit-log",
    title="the audit log has lost nothing",
    examines="the log against its last checkpoint; `b3iq audit verify` reads every event",
    look=_look,
    needs=("admin-answers",),
)

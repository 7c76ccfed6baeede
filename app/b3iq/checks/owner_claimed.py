"""Nobody has claimed the node for long: whoever gets a setup link becomes its owner."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from b3iq.checks.check import Check, Finding, ok, warning
from b3iq.checks.host import Host
from b3iq.credentials.secret_files import TOKEN_PEPPER

LONG = timedelta(hours=24)


def _look(host: Host) -> Finding:
    if (host.node_status or {}).get("claimed"):
        return ok("The node has its owner.")
    store = host.at("/etc/credstore.encrypted") if host.installed else host.paths.credentials
    # The secrets are made when the node is, and are never written again.
    made = datetime.fromtimestamp((store / TOKEN_PEPPER).stat().st_mtime, UTC)
    age = host.machine.now() - made
    if age < LONG:
        return ok("Nobody has claimed the node yet; it is new.")
    return warning(
        f"The node has been there for {age.days} days, and nobody has claimed it.",
        "Claim it by the link of `b3iq setup-url`, or uninstall it.",
    )


CHECK = Check(
    id="owner-claimed",
    title="the node has an owner",
    examines=f"whether it is claimed {int(LONG.total_seconds()) // 3600} hours after its secrets "
    "were made",
    look=_look,
    needs=("admin-answers", "secret-files"),
)

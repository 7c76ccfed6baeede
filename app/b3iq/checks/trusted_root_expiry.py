"""The pinned root runs out: a repository that has no newer one is refused from then on."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

from b3iq.checks.check import Check, Finding, ok, warning
from b3iq.checks.host import Host

NOTICE = timedelta(days=30)


def _look(host: Host) -> Finding:
    signed = json.loads(host.paths.trusted_root.read_bytes())["signed"]
    expires = datetime.fromisoformat(signed["expires"])
    if expires - host.machine.now() < NOTICE:
        return warning(
            f"The pinned root expires on {expires:%Y-%m-%d}. The repository must have a newer "
            "one by then, or updates are refused; what is installed keeps running.",
            "Ask the publisher for the newer root, and pin it with b3iq_trusted_root.",
        )
    return ok(f"Good until {expires:%Y-%m-%d}.")


CHECK = Check(
    id="trusted-root-expiry",
    title="the pinned root does not run out soon",
    examines=f"its date, {NOTICE.days} days ahead; other metadata is not kept on the host",
    look=_look,
    needs=("trusted-root",),
    host_only=True,
)

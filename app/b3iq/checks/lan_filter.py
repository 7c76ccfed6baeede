"""The packet filter of the LAN port is gone: another program has flushed the kernel's rules."""

from __future__ import annotations

import json

from b3iq.checks.check import Check, Finding, failed, ok, skipped
from b3iq.checks.host import Host

_REMEDY = "Run `systemctl restart b3iq-lan-filter.service`, and find out who flushed the rules."


def _look(host: Host) -> Finding:
    if not host.node_config.has_lan:
        return skipped("The node listens on no LAN.")
    listed = json.loads(host.machine.run("nft", "--json", "list", "ruleset"))["nftables"]
    rules = [item["rule"] for item in listed if "rule" in item]
    ours = [rule for rule in rules if (rule["family"], rule["table"]) == ("inet", "b3iq")]
    # One for each network that may come, and one that drops the others.
    if len(ours) == len(host.node_config.lan_allow) + 1:
        return ok("The kernel drops what comes to the LAN port from elsewhere.")
    return failed(f"The table inet b3iq has {len(ours)} rules in the kernel.", _REMEDY)


CHECK = Check(
    id="lan-filter",
    title="the kernel filters the LAN port",
    examines="the rules of the table `inet b3iq`, where the LAN listener is on",
    look=_look,
    needs=("node-settings",),
    host_only=True,
)

"""A running service can reach a network, whatever its unit says."""

from __future__ import annotations

from b3iq.checks.check import Check, Finding, judged, skipped
from b3iq.checks.host import SERVICES, Host

# A kernel with a tunnel module loaded puts these into each new namespace. They are down, and only
# a capability that the services lack could change that.
_INERT = frozenset(
    {
        *("erspan0", "gre0", "gretap0", "ip6_vti0", "ip6gre0"),
        *("ip6tnl0", "ip_vti0", "lo", "sit0", "tunl0"),
    }
)


def _look(host: Host) -> Finding:
    running = {unit: host.processes(unit) for unit in SERVICES}
    if not any(running.values()):
        return skipped("No service runs.")
    faults = [
        f"process {pid} of {unit} has {', '.join(sorted(links))}"
        for unit, pids in running.items()
        for pid in pids
        if (links := _interfaces(host, pid) - _INERT)
    ]
    return judged(
        faults,
        fine="The network of each running service has nothing in it.",
        remedy="Stop the service, look at `systemctl cat UNIT` for what removed PrivateNetwork, "
        "and run the install playbook.",
    )


def _interfaces(host: Host, pid: int) -> set[str]:
    """What is in the network namespace of a process (proc(5): two lines of heading)."""
    lines = host.read(f"/proc/{pid}/net/dev").splitlines()[2:]
    return {line.partition(":")[0].strip() for line in lines}


CHECK = Check(
    id="services-offline",
    title="the running services have no network",
    examines="the interfaces in the namespace of each of their processes",
    look=_look,
    host_only=True,
)

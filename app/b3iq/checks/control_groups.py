"""Control groups of version 1: the units' device, memory and address limits are ignored."""

from __future__ import annotations

from b3iq.checks.check import Check, Finding, ok, warning
from b3iq.checks.host import Host


def _look(host: Host) -> Finding:
    if host.at("/sys/fs/cgroup/cgroup.controllers").exists():
        return ok("Control groups of version 2.")
    return warning(
        "Without control groups of version 2, the units' limits on devices, swap and addresses "
        "are ignored. Their network namespaces and system call filters hold.",
        "Boot the host with systemd.unified_cgroup_hierarchy=1; a container takes its machine's.",
    )


CHECK = Check(
    id="control-groups",
    title="the kernel enforces the units' limits",
    examines="the hierarchy at `/sys/fs/cgroup`",
    look=_look,
    host_only=True,
)

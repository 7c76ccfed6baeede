"""Memory of a service lies on a swap device, with secrets and prompts in it."""

from __future__ import annotations

from b3iq.checks.check import Check, Finding, judged, skipped
from b3iq.checks.host import SERVICES, Host


def _look(host: Host) -> Finding:
    pids = [(unit, pid) for unit in SERVICES for pid in host.processes(unit)]
    if not pids:
        return skipped("No service runs.")
    faults = [
        f"process {pid} of {unit} has {swapped} kB in swap"
        for unit, pid in pids
        if (swapped := _swapped(host, pid)) != "0"
    ]
    return judged(
        faults,
        fine="No memory of the services is in swap.",
        remedy="Turn swap off (swapoff -a), or use control groups of version 2, which keep "
        "the services out of it; then restart the service.",
    )


def _swapped(host: Host, pid: int) -> str:
    for line in host.read(f"/proc/{pid}/status").splitlines():
        if line.startswith("VmSwap:"):
            return line.split()[1]
    return "0"


CHECK = Check(
    id="swap",
    title="no secret and no prompt is swapped out",
    examines="`VmSwap` of each process of the services",
    look=_look,
    host_only=True,
)

"""A running service may leave a core dump, with secrets and prompts in it."""

from __future__ import annotations

from b3iq.checks.check import Check, Finding, judged, skipped
from b3iq.checks.host import SERVICES, Host


def _look(host: Host) -> Finding:
    pids = [(unit, pid) for unit in SERVICES for pid in host.processes(unit)]
    if not pids:
        return skipped("No service runs.")
    faults = [
        f"process {pid} of {unit} may dump {limit} bytes"
        for unit, pid in pids
        if (limit := _limit(host, pid)) != "0"
    ]
    return judged(
        faults,
        fine="No running process of the services may dump its memory.",
        remedy="Restart the service; if it stays, see `systemctl cat UNIT` for what changed "
        "LimitCORE.",
    )


def _limit(host: Host, pid: int) -> str:
    """The hard limit of a core file: `Max core file size SOFT HARD bytes` (proc(5))."""
    for line in host.read(f"/proc/{pid}/limits").splitlines():
        if line.startswith("Max core file size"):
            return line.split()[5]
    return "an unknown number of"


CHECK = Check(
    id="core-dumps",
    title="a crash writes no memory to the disk",
    examines="`/proc/PID/limits` of each process of the services",
    look=_look,
    host_only=True,
)

"""A kernel setting of the install playbook is not in force."""

from __future__ import annotations

from b3iq.checks.check import Check, Finding, failed, judged, skipped
from b3iq.checks.host import Host

FILE = "/etc/sysctl.d/60-b3iq.conf"
_REMEDY = "Run `sysctl --system` as root; if that does not help, run the install playbook again."


def _look(host: Host) -> Finding:
    if not host.at(FILE).is_file():
        return failed(f"{FILE} is missing.", "Run the install playbook again.")
    lines = [line for line in host.read(FILE).splitlines() if "=" in line and line[0] != "#"]
    wanted = {name.strip(): value.strip() for name, value in (line.split("=") for line in lines)}
    faults = []
    for name, value in wanted.items():
        place = "/proc/sys/" + name.replace(".", "/")
        live = host.read(place).strip() if host.at(place).exists() else "unknown to the kernel"
        if live != value:
            faults.append(f"{name} is {live}, not {value}")
    if faults and host.at("/run/systemd/container").exists():
        return skipped("A container has the kernel settings of its machine.")
    return judged(faults, fine=f"{len(wanted)} settings are in force.", remedy=_REMEDY)


CHECK = Check(
    id="kernel-settings",
    title="the kernel hides its addresses and processes from each other",
    examines=f"`{FILE}` against `/proc/sys`",
    look=_look,
    host_only=True,
)

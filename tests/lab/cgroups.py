"""A control group for each host, where no systemd on this machine makes one.

systemd in a guest finds the processes of a unit by control group. Two guests in one group would
kill each other's services. Where systemd runs the machine, nspawn gets a scope from it instead.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

# The hierarchies that systemd tracks processes in: cgroup v1 "name=systemd", v2 beside it, v2.
HIERARCHIES = (
    Path("/sys/fs/cgroup/systemd"),
    Path("/sys/fs/cgroup/unified"),
    Path("/sys/fs/cgroup"),
)
LEAVE_DEADLINE_S = 5.0


def machine_runs_systemd() -> bool:
    """sd_booted(3)."""
    return Path("/run/systemd/system").is_dir()


def enter(name: str) -> None:
    """Move this process into a group of that name, in each hierarchy that there is."""
    for hierarchy in _hierarchies():
        group = hierarchy / name
        group.mkdir(exist_ok=True)
        (group / "cgroup.procs").write_text(str(os.getpid()))


def leave() -> None:
    """Move this process back to the root groups, so that its own can be removed."""
    for hierarchy in _hierarchies():
        (hierarchy / "cgroup.procs").write_text(str(os.getpid()))


def remove(name: str) -> None:
    """Remove the groups of that name, once the last dead process has left them."""
    deadline = time.monotonic() + LEAVE_DEADLINE_S
    for hierarchy in _hierarchies():
        group = hierarchy / name
        while group.exists() and time.monotonic() < deadline:
            # Children before parents; a group that still empties refuses, and is tried again.
            for path, _, _ in os.walk(group, topdown=False):
                with contextlib.suppress(OSError):
                    Path(path).rmdir()
            time.sleep(0.02)


def _hierarchies() -> list[Path]:
    if machine_runs_systemd():
        return []
    return [path for path in HIERARCHIES if (path / "cgroup.procs").exists()]

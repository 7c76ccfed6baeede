"""The file system has room, and no inodes left to make a file with."""

from __future__ import annotations

from b3iq.checks.check import Check, Finding, failed, ok
from b3iq.checks.host import Host

# An update unpacks some ten thousand files.
NEEDED = 20_000


def _look(host: Host) -> Finding:
    for path in (host.paths.state, host.paths.opt):
        free = host.machine.space(path).free_inodes if path.is_dir() else None
        if free is not None and free < NEEDED:
            return failed(
                f"{host.named(path)} has {free} inodes left; an update needs {NEEDED}.",
                "Remove the many small files of that file system, or make it anew with more.",
            )
    return ok("Inodes enough for an update.")


CHECK = Check(
    id="disk-inodes",
    title="there are inodes for receipts and updates",
    examines=f"free inodes at state and releases: {NEEDED}",
    look=_look,
)

"""The disk is full, or nearly: receipts cannot be written."""

from __future__ import annotations

from b3iq.checks.check import Check, Finding, failed, ok, warning
from b3iq.checks.host import Host

_MIB = 1024 * 1024
SCARCE_MIB = 1024
FULL_MIB = 128
_REMEDY = "Free some space, or mount a larger file system there."


def _look(host: Host) -> Finding:
    places = [path for path in (host.paths.state, host.paths.opt) if path.is_dir()]
    free = {path: host.machine.space(path).free_bytes // _MIB for path in places}
    said = "; ".join(f"{host.named(path)} has {mib} MiB free" for path, mib in free.items()) + "."
    if any(mib < FULL_MIB for mib in free.values()):
        return failed(said, _REMEDY)
    if any(mib < SCARCE_MIB for mib in free.values()):
        return warning(said, _REMEDY)
    return ok(said)


CHECK = Check(
    id="disk-space",
    title="there is room for receipts and updates",
    examines=f"free space at state and releases: {FULL_MIB} MiB, with a warning below {SCARCE_MIB}",
    look=_look,
)

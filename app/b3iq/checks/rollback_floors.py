"""The memory of what this machine has installed is gone or damaged: updates are refused."""

from __future__ import annotations

from b3iq.checks.check import Check, Finding, failed, ok
from b3iq.checks.host import Host
from b3iq.updater import floors
from b3iq.updater.refusals import FloorsUnreadable
from b3iq.updater.status import floors_file

_REMEDY = (
    "The installed release keeps running, and updates are refused. Restore the file from a "
    "backup, or accept a repository that you know is fresh anew: docs/release.md, --reset-floors."
)


def _look(host: Host) -> Finding:
    try:
        found = floors.read(floors_file(host.paths), required=True)
    except FloorsUnreadable as error:
        return failed(error.detail, _REMEDY)
    return ok(f"Nothing below sequence {found.sequence if found else 0} would be installed.")


CHECK = Check(
    id="rollback-floors",
    title="an older release cannot be installed",
    examines="the updater's `floors.json`",
    look=_look,
    host_only=True,
)

"""The pinned root is missing, is no root, or is not the one that this machine knows."""

from __future__ import annotations

import json

from b3iq.checks.check import Check, Finding, failed, ok
from b3iq.checks.host import Host
from b3iq.updater import floors
from b3iq.updater.manifest import digest
from b3iq.updater.status import floors_file

_REMEDY = (
    "What is installed keeps running. Put the root file that you were given in its place, and "
    "ask who changed it: whoever holds its keys decides what this host runs."
)


def _look(host: Host) -> Finding:
    try:
        raw = host.paths.trusted_root.read_bytes()
        signed = json.loads(raw)["signed"]
        kind, roles = signed["_type"], signed["roles"]
        threshold = min(int(roles[name]["threshold"]) for name in ("root", "targets"))
    except OSError:
        return failed("There is no trusted root.", _REMEDY)
    except (ValueError, KeyError, TypeError):
        return failed("The trusted root is no TUF root.", _REMEDY)
    if kind != "root":
        return failed("The trusted root is no TUF root.", _REMEDY)
    seen = floors.read(floors_file(host.paths), required=False)
    if seen is not None and digest(raw) not in seen.trusted_roots:
        return failed("The trusted root is not the one that this machine knows.", _REMEDY)
    return ok(f"Releases need {threshold} signatures or more of the pinned root.")


CHECK = Check(
    id="trusted-root",
    title="updates need the keys that were pinned",
    examines="`/etc/b3iq/trusted-root.json`, and its digest in the updater's floors",
    look=_look,
    needs=("rollback-floors",),
    host_only=True,
)

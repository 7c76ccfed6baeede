"""A secret file is missing, open to others, of another owner, or where none may be."""

from __future__ import annotations

from pathlib import Path

from b3iq.checks.check import Check, Finding, judged
from b3iq.checks.host import FileStatus, Host
from b3iq.credentials.secret_files import LAN_TLS, LENGTHS
from b3iq.credentials.secret_table import (
    CREDSTORE,
    DECRYPTED,
    ON_HOST,
    OTHER_CREDSTORES,
    SecretFile,
)

_REMEDY = (
    "Give it the owner and the mode that are named, and treat what others could read as leaked. "
    "Restore a missing one from a backup: docs/operations.md says what belongs together."
)


def _look(host: Host) -> Finding:
    faults = _on_host(host) if host.installed else _in_development(host)
    return judged(faults, fine="Every secret file is whose and as it must be.", remedy=_REMEDY)


def _on_host(host: Host) -> list[str]:
    faults: list[str] = []
    for line in ON_HOST:
        found = host.matching(line.path)
        if line.required and not found:
            faults.append(f"{line.path} is missing")
        faults += [fault for path in found if (fault := _fault(host, path, line))]
    known = {line.path for line in ON_HOST}
    places = [f"{place}/b3iq-*" for place in (CREDSTORE, *OTHER_CREDSTORES)]
    for place in (*places, f"{DECRYPTED}/b3iq-*/*"):
        strangers = {host.named(path) for path in host.matching(place)} - known
        faults += [f"{stranger} is no secret of the node's" for stranger in sorted(strangers)]
    return faults


def _fault(host: Host, path: Path, line: SecretFile) -> str:
    found = host.status(path)
    if found is None:
        return ""
    fault = found.unlike(*(FileStatus("file", mode, owner) for owner, mode in line.forms))
    return f"{host.named(path)} {fault}" if fault else ""


def _in_development(host: Host) -> list[str]:
    """One user's node: each secret is that user's, and no other can read it."""
    paths = host.paths
    required = [paths.credentials / name for name in LENGTHS]
    database = sorted(paths.node_state.glob("*"))
    owner = host.machine.owner(paths.state.parent)
    faults = [f"{host.named(path)} is missing" for path in required if not path.exists()]
    for path in (paths.credentials, *required, paths.credentials / LAN_TLS, *database):
        found = host.status(path)
        if found is not None and (found.mode & 0o077 or found.owner != owner):
            faults.append(f"{host.named(path)} is {found}, and must be for {owner} alone")
    return faults


CHECK = Check(
    id="secret-files",
    title="nobody but its reader can open a secret",
    examines="each line of the table in docs/hardening.md, and strangers where credentials lie",
    look=_look,
)

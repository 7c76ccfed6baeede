"""A directory, setting or socket of the node's has another owner or mode, or is a stranger."""

from __future__ import annotations

from b3iq.checks.check import Check, Finding, judged
from b3iq.checks.host import FileStatus, Host

_ROOT = "root:root"

# Exact; secret files have a table of their own. A `*` stands for each entry there.
TABLE = {
    "/etc/b3iq": FileStatus("directory", 0o755, _ROOT),
    "/etc/b3iq/engine.toml": FileStatus("file", 0o644, _ROOT),
    "/etc/b3iq/lan.nft": FileStatus("file", 0o644, _ROOT),
    "/etc/b3iq/node.toml": FileStatus("file", 0o644, _ROOT),
    "/etc/b3iq/trusted-root.json": FileStatus("file", 0o644, _ROOT),
    "/etc/b3iq/update.toml": FileStatus("file", 0o644, _ROOT),
    "/etc/credstore.encrypted": FileStatus("directory", 0o700, _ROOT),
    "/opt/b3iq": FileStatus("directory", 0o755, _ROOT),
    "/opt/b3iq/current": FileStatus("link", 0o777, _ROOT),
    "/opt/b3iq/layers": FileStatus("directory", 0o755, _ROOT),
    "/opt/b3iq/layers/*": FileStatus("directory", 0o755, _ROOT),
    "/opt/b3iq/releases": FileStatus("directory", 0o755, _ROOT),
    "/opt/b3iq/releases/*": FileStatus("directory", 0o755, _ROOT),
    "/opt/b3iq/updater": FileStatus("link", 0o777, _ROOT),
    "/run/b3iq": FileStatus("directory", 0o755, _ROOT),
    "/run/b3iq/admin.sock": FileStatus("socket", 0o600, _ROOT),
    "/run/b3iq/engine.sock": FileStatus("socket", 0o660, "root:b3iq-node"),
    "/usr/local/bin/b3iq": FileStatus("link", 0o777, _ROOT),
    "/var/lib/b3iq": FileStatus("directory", 0o755, _ROOT),
    "/var/lib/b3iq/models": FileStatus("directory", 0o755, "root:b3iq-engine"),
    "/var/lib/b3iq/models/*": FileStatus("directory", 0o750, "root:b3iq-engine"),
    "/var/lib/b3iq/models/*/*": FileStatus("file", 0o640, "root:b3iq-engine"),
    "/var/lib/b3iq/node": FileStatus("directory", 0o700, "b3iq-node:b3iq-node"),
    "/var/lib/b3iq/update-spool": FileStatus("directory", 0o1770, "root:b3iq-node"),
    "/var/lib/b3iq/update-status.json": FileStatus("file", 0o644, _ROOT),
    "/var/lib/b3iq/updater": FileStatus("directory", 0o700, _ROOT),
}
# Nothing else may lie here.
WHOLE = ("/etc/b3iq", "/opt/b3iq", "/run/b3iq", "/var/lib/b3iq")
_REMEDY = "Run the install playbook; remove what it does not know, once you know whose it is."


def _look(host: Host) -> Finding:
    if not host.installed:
        return _development(host)
    faults = []
    for pattern, wanted in TABLE.items():
        for path in host.matching(pattern):
            found = host.status(path)
            if found is not None and (fault := found.unlike(wanted)):
                faults.append(f"{host.named(path)} {fault}")
    faults += [
        f"{host.named(path)} is not the node's"
        for place in WHOLE
        for path in host.matching(f"{place}/*")
        if host.named(path) not in TABLE
    ]
    if host.deep:
        faults += _writable(host)
    return judged(faults, fine="Every owner and mode is as it must be.", remedy=_REMEDY)


def _writable(host: Host) -> list[str]:
    """Files of releases and layers that somebody but root could change."""
    faults = []
    for path in sorted(host.paths.opt.rglob("*")):
        found = host.status(path)
        if found is None or (found.owner == _ROOT and not found.mode & 0o022):
            continue
        if found.kind != "link" or found.owner != _ROOT:
            faults.append(f"{host.named(path)} is {found}")
    return faults


def _development(host: Host) -> Finding:
    """All of a development node lies below one directory, which keeps everybody out."""
    place = host.paths.state.parent
    found = host.status(place)
    open_to_others = found is not None and found.mode & 0o077
    return judged(
        [f"{place} is {found}"] if open_to_others else [],
        fine="The state directory keeps other users out.",
        remedy=f"Run `chmod 700 {place}`; what others may have read is leaked.",
    )


CHECK = Check(
    id="file-permissions",
    title="only root can change what runs, and only the node its state",
    examines="owner and mode of every directory, setting, link and socket, and strangers "
    "among them; with `--deep` every file of the release",
    look=_look,
)

"""The host's systemd is old enough to ignore what confines the services."""

from __future__ import annotations

from b3iq import systemd
from b3iq.checks.check import Check, Finding, failed, ok
from b3iq.checks.host import Host

# Encrypted credentials came with 250; an older systemd starts the node without its secrets, and
# ignores with a warning each setting that it does not know.
OLDEST = 250


def _look(host: Host) -> Finding:
    version = systemd.parse_version(host.machine.run("systemctl", "--version"))
    if version is None or version < OLDEST:
        return failed(
            f"systemd is {version or 'of an unknown version'}; the units need {OLDEST}.",
            "Use a Debian 12 host.",
        )
    return ok(f"systemd {version}.")


CHECK = Check(
    id="systemd-version",
    title="systemd knows every setting of the units",
    examines="`systemctl --version`",
    look=_look,
    host_only=True,
)

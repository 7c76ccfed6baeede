"""A service's user is missing, has a password, a shell or the number of root."""

from __future__ import annotations

from b3iq.checks.check import Check, Finding, judged
from b3iq.checks.host import Host

USERS = ("b3iq-node", "b3iq-engine")


def _look(host: Host) -> Finding:
    accounts = _entries(host, "/etc/passwd")
    passwords = _entries(host, "/etc/shadow")
    faults = []
    for user in USERS:
        account = accounts.get(user)
        if account is None or len(account) < 7:
            faults.append(f"there is no user {user}")
            continue
        if account[6] not in {"/usr/sbin/nologin", "/sbin/nologin", "/bin/false"}:
            faults.append(f"{user} has the shell {account[6]}")
        if account[2] == "0":
            faults.append(f"{user} has the number of root")
        if not passwords.get(user, ["", ""])[1].startswith(("!", "*")):
            faults.append(f"{user} has a password, or none is needed")
    return judged(
        faults, fine="Both users have no shell and no password.", remedy="Run the install playbook."
    )


def _entries(host: Host, path: str) -> dict[str, list[str]]:
    lines = (line.split(":") for line in host.read(path).splitlines())
    return {fields[0]: fields for fields in lines}


CHECK = Check(
    id="accounts",
    title="nobody can log in as a service",
    examines="`/etc/passwd` and `/etc/shadow`",
    look=_look,
    host_only=True,
)

"""What is on a host, as a comparable listing: every file with its type, mode and owner."""

from __future__ import annotations

from pathlib import Path

from tests.lab.host import ROOT, Host

# Where a bare run leaves its listing for the run after the uninstall.
SAVED = ROOT / "build" / "molecule" / "bare-listing.txt"

# Not listed, each with its reason.
_PRUNED = {
    "/proc": "the kernel's",
    "/sys": "the kernel's",
    "/dev": "the kernel's",
    "/run": "gone at the next boot; what is ours there is asked for by name",
    "/tmp": "scratch of whoever runs",  # noqa: S108  a path on the host, not used as scratch
    "/var/tmp": "scratch of whoever runs",  # noqa: S108  a path on the host, not used as scratch
    "/var/log": "the journal is the machine's record of what was done, removal included",
    "/root/.ansible": "scratch of Ansible's own modules",
    "/var/lib/systemd": "systemd's own: timers' stamps, the machine's credential secret",
}


def take(host: Host) -> list[str]:
    """Sorted lines `type mode owner:group path [-> target]`, and the accounts."""
    pruned = " -o ".join(f"-path {path}" for path in _PRUNED)
    files = host.run(
        f"find / \\( {pruned} \\) -prune -o -printf '%y %m %u:%g %p %l\\n'", timeout=60
    ).stdout
    accounts = host.run("cat /etc/passwd /etc/group /etc/shadow /etc/gshadow").stdout
    units = host.run("systemctl list-unit-files --no-legend --no-pager 'b3iq*'", check=False).stdout
    return sorted({*files.splitlines(), *accounts.splitlines(), *units.splitlines()})


def difference(before: list[str], after: list[str]) -> list[str]:
    """What came and what went, as a diff shows it."""
    came = [f"+ {line}" for line in sorted(set(after) - set(before))]
    went = [f"- {line}" for line in sorted(set(before) - set(after))]
    return came + went


def save(lines: list[str], path: Path = SAVED) -> None:
    """Keep a listing for a later run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines))


def saved(path: Path = SAVED) -> list[str]:
    """The listing that was kept."""
    return path.read_text().splitlines()

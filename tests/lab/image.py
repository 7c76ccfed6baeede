"""The base image: a bare Debian 12 root, built once and cached by its recipe's hash."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.lab.errors import LabError

SUITE = "bookworm"
SUITES = frozenset({SUITE, f"{SUITE}-updates", f"{SUITE}-security"})
# What a freshly installed Debian 12 server has and a host needs to be managed by Ansible.
PACKAGES = (
    "ca-certificates",
    "dbus",
    "iproute2",
    "nftables",
    "openssh-server",
    "procps",
    "python3",
    "sudo",
    "systemd",
    "systemd-sysv",
)
# Run by mmdebstrap with the root as $1. No host shares an identity with another, so none is
# kept in the image; the clock, names and addresses are the lab's business.
FINISH = (
    'systemctl --root="$1" enable systemd-networkd',
    'systemctl --root="$1" disable systemd-timesyncd apt-daily.timer apt-daily-upgrade.timer || :',
    'rm -f "$1"/etc/ssh/ssh_host_* "$1"/etc/resolv.conf "$1"/etc/hostname',
    ': >"$1"/etc/machine-id',
)
FALLBACK = (
    f"deb http://deb.debian.org/debian {SUITE} main",
    f"deb http://deb.debian.org/debian {SUITE}-updates main",
    f"deb http://deb.debian.org/debian-security {SUITE}-security main",
)


def cache_directory() -> Path:
    """Where images are kept."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "b3iq" / "images"


def sources(etc_apt: Path = Path("/etc/apt")) -> list[str]:
    """The machine's own sources of Debian 12, one `deb` line each; third parties are left out."""
    lines: list[str] = []
    for path in [etc_apt / "sources.list", *sorted((etc_apt / "sources.list.d").glob("*.list"))]:
        if path.is_file():
            lines += [kept for raw in path.read_text().splitlines() if (kept := _one_line(raw))]
    for path in sorted((etc_apt / "sources.list.d").glob("*.sources")):
        for stanza in path.read_text().split("\n\n"):
            lines += _stanza(stanza)
    return list(dict.fromkeys(lines)) or list(FALLBACK)


def _one_line(raw: str) -> str | None:
    words = raw.split("#")[0].split()
    if not words or words[0] != "deb":
        return None
    rest = words[1:]
    if rest and rest[0].startswith("["):
        closing = next((i for i, word in enumerate(rest) if word.endswith("]")), 0)
        rest = rest[closing + 1 :]
    if len(rest) < 3 or not _is_debian(rest[0], rest[1]) or "main" not in rest[2:]:
        return None
    return f"deb {rest[0]} {rest[1]} main"


def _stanza(stanza: str) -> list[str]:
    fields: dict[str, str] = {}
    for line in stanza.splitlines():
        if not line.startswith("#") and ":" in line:
            name, _, value = line.partition(":")
            fields[name.strip().lower()] = value.strip()
    if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes") == "no":
        return []
    if "main" not in fields.get("components", "").split():
        return []
    return [
        f"deb {uri} {suite} main"
        for uri in fields.get("uris", "").split()
        for suite in fields.get("suites", "").split()
        if _is_debian(uri, suite)
    ]


def _is_debian(uri: str, suite: str) -> bool:
    return suite in SUITES and uri.rstrip("/").endswith(("/debian", "/debian-security"))


def recipe_hash() -> str:
    """Names the image: the same recipe gives the same name, a changed one a new image."""
    recipe = json.dumps([1, SUITE, PACKAGES, FINISH, sources()])
    return hashlib.sha256(recipe.encode()).hexdigest()[:16]


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def ensure() -> tuple[Path, bool]:
    """The root directory of the image, built if the cache lacks it, and whether it was built.

    Raises:
        LabError: not root, or mmdebstrap is missing or fails.
    """
    if os.geteuid() != 0:
        raise LabError("A lab host needs root.", remedy="Run the same command as root.")
    cache = cache_directory()
    cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    name = recipe_hash()
    image = cache / name
    with _locked(cache / f"{name}.lock"):
        if image.is_dir():
            return image, False
        partial = cache / f"{name}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        try:
            _bootstrap(partial)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
        partial.rename(image)
    return image, True


def _bootstrap(target: Path) -> None:
    command = [
        "mmdebstrap",
        "--variant=minbase",
        "--quiet",
        f"--include={','.join(PACKAGES)}",
        *_apt_options(),
        *(f"--customize-hook={hook}" for hook in FINISH),
        SUITE,
        str(target),
        *sources(),
    ]
    try:
        # Debian's own files must not inherit the private umask of the caller.
        subprocess.run(command, check=True, umask=0o022, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise LabError("mmdebstrap is not installed.", remedy="Run `make setup-lab`.") from error
    except subprocess.CalledProcessError as error:
        words = "\n".join(error.stderr.strip().splitlines()[-8:])
        raise LabError(
            f"mmdebstrap could not build the base image:\n{words}",
            remedy="Check that `apt-get update` works on this machine, then run this again.",
        ) from error


def _apt_options() -> list[str]:
    """The machine's own proxy and date checks, as mmdebstrap starts from apt's defaults."""
    names = ["Acquire::http::Proxy", "Acquire::https::Proxy", "Acquire::Check-Valid-Until"]
    shown = subprocess.run(
        ["apt-config", "dump", "--no-empty", "--format", '%f "%v";%n', *names],
        check=False,
        capture_output=True,
        text=True,
    )
    return [f"--aptopt={line.rstrip(';')}" for line in shown.stdout.splitlines() if line.strip()]

"""Install a hash-pinned lock into a directory, with Debian's interpreter and its pip."""

from __future__ import annotations

import functools
import os
import re
import subprocess
import tempfile
from pathlib import Path

from b3iq.updater.progress import Advance, Progress
from release.archive import BuildFailed

# The interpreter of the supported host; layers hold extension modules for it.
INTERPRETER = "/usr/bin/python3.11"


@functools.cache
def interpreter_version() -> str:
    """Such as ``Python 3.11.2``.

    Raises:
        BuildFailed: it is not installed here.
    """
    try:
        return subprocess.run(
            [INTERPRETER, "-V"], check=True, capture_output=True, text=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError) as error:
        raise BuildFailed(
            f"{INTERPRETER} does not run here.", remedy="Build releases on Debian 12."
        ) from error


def install(name: str, checkout: Path, lock: Path, destination: Path, progress: Progress) -> None:
    """Install a lock into `destination`; every file's hash must be in the lock.

    The one source distribution (systemd-python) is compiled with a setuptools that the
    locks pin too, and without debug information, which would hold the build path.

    Raises:
        BuildFailed: with the last words of pip.
    """
    pinned = lock.read_text().count("==")
    with tempfile.TemporaryDirectory(prefix="b3iq-pip-") as work:
        venv = Path(work) / "venv"
        _run([INTERPRETER, "-m", "venv", str(venv)])
        builder = Path(work) / "builder.txt"
        builder.write_text(_pin(checkout / "app/locks/runtime-cpu.txt", "setuptools"))
        pip = [str(venv / "bin/pip"), "install", "--require-hashes", "--no-deps"]
        _run([*pip, "--quiet", "-r", str(builder)])
        command = [
            *pip, "--no-compile", "--no-build-isolation", "--no-cache-dir",
            "--target", str(destination), "-r", str(lock),
        ]  # fmt: skip
        with progress.step(f"{name}: installing packages", pinned, unit="packages") as advance:
            _watched(command, advance)


def _pin(lock: Path, package: str) -> str:
    found = re.search(rf"^{package}==(?:.*\\\n)*.*$", lock.read_text(), re.MULTILINE)
    if found is None:
        raise BuildFailed(f"{lock.name} does not pin {package}.", remedy="Run app/locks/lock.")
    return found.group(0) + "\n"


def _environment() -> dict[str, str]:
    return os.environ | {"CFLAGS": "-O2 -g0", "SOURCE_DATE_EPOCH": "315532800"}


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=_environment())
    if done.returncode != 0:
        raise BuildFailed(f"{command[0]} failed: {(done.stderr or done.stdout).strip()[-800:]}")


def _watched(command: list[str], advance: Advance) -> None:
    """Run pip and count the packages that it takes up."""
    tail: list[str] = []
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=_environment()
    ) as process:
        for line in process.stdout or ():
            tail = [*tail[-15:], line]
            if line.startswith("Collecting"):
                advance(1)
    if process.returncode != 0:
        raise BuildFailed(f"pip failed: {''.join(tail).strip()[-1500:]}")

"""Create, reach, list and destroy lab hosts."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.lab import image, slots
from tests.lab.errors import LabError
from tests.lab.seed import seed
from tests.lab.slots import Slot
from tests.lab.supervisor import remove

ROOT = Path(__file__).parents[2]
BOOT_DEADLINE_S = 60.0
# Removing a gigabyte of small files can take a while on a disk that discards at once.
STOP_DEADLINE_S = 180.0
# How long a failed boot waits for its supervisor to clean up before it does so itself.
UNBORN_S = 20.0
# The id of a process; hosts that are made under it end when it ends. `guard` sets it.
OWNER = "B3IQ_LAB_OWNER"


def home(name: str) -> Path:
    """The directory of a host of this working tree: key, pinned host key, overlay, boot log."""
    return ROOT / "build" / "lab" / name


@dataclass(frozen=True)
class Host:
    """A running host and how to reach it."""

    name: str
    address: str
    user: str
    ssh_key: str
    ssh_known_hosts: str
    directory: str
    slot: int

    def ssh(self, *command: str, options: tuple[str, ...] = ()) -> list[str]:
        """The ssh command line; `command` is given to the remote shell as it stands."""
        return [
            # Of an option given twice, ssh takes the first.
            *("ssh", "-F", "none", *options, "-i", self.ssh_key, "-o", "IdentitiesOnly=yes"),
            *("-o", f"UserKnownHostsFile={self.ssh_known_hosts}"),
            *("-o", "GlobalKnownHostsFile=none", "-o", "StrictHostKeyChecking=yes"),
            *("-o", "BatchMode=yes", "-o", "ConnectTimeout=5", "-o", "LogLevel=ERROR"),
            f"{self.user}@{self.address}",
            *command,
        ]

    def run(
        self, command: str, *, check: bool = True, stdin: str | None = None, timeout: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Run a shell command on the host as root.

        Raises:
            LabError: it exits non-zero (unless `check` is off), with its last words.
        """
        done = subprocess.run(
            self.ssh(command),
            input=stdin if stdin is not None else "",
            check=False,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        if check and done.returncode:
            words = (done.stderr or done.stdout).strip()[-2000:]
            raise LabError(f"On {self.name}, `{command}` exited {done.returncode}: {words}")
        return done

    def facts(self) -> dict[str, Any]:
        """What an inventory needs, as plain data."""
        return asdict(self)


def create(name: str) -> Host:
    """Boot a new host and wait until systemd in it is up and SSH answers.

    Interrupted or failed at any point, it leaves nothing behind. The host ends when the process
    that B3IQ_LAB_OWNER names ends, if it names one.

    Raises:
        LabError: bad name, name taken, or the host does not come up.
    """
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,30}", name):
        raise LabError(f"{name!r} is no host name.", remedy="Use a-z, 0-9 and -, at most 31.")
    root, _ = image.ensure()
    reap()
    with slots.registering():
        if _find(name) is not None:
            raise LabError(
                f"A lab host {name} exists already.",
                remedy=f"Run `python -m tests.lab destroy {name}` first.",
            )
        slot, lock = slots.claim()
        slot.write(
            {"name": name, "directory": str(home(name)), "pid": os.getpid(), "creating": True}
        )
    try:
        return _create(name, slot, lock, root)
    except BaseException:
        remove(slot, home(name))
        raise
    finally:
        os.close(lock)


def _create(name: str, slot: Slot, lock: int, root: Path) -> Host:
    directory = home(name)
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(mode=0o700, parents=True)
    host = Host(
        name=name,
        address=slot.host_address,
        user="root",
        ssh_key=str(directory / "ssh_key"),
        ssh_known_hosts=str(directory / "known_hosts"),
        directory=str(directory),
        slot=slot.number,
    )
    seed(host.name, host.address, directory)
    handover_read, handover = os.pipe()
    supervisor = _supervise(slot, directory, root, lock, handover_read)
    os.close(handover_read)
    try:
        slot.write({**host.facts(), "pid": supervisor.pid})
        _wait_until_ready(host, lambda: supervisor.poll() is None)
        os.write(handover, b".")
    except BaseException:
        # A closed handover ends a supervisor that is too young to hear a signal.
        os.close(handover)
        supervisor.kill()
        supervisor.wait()
        # The supervisor removes its host. One killed before it began cannot; `create` does then.
        _wait_for(lambda: slot.record() is None, within_s=UNBORN_S)
        raise
    os.close(handover)
    return host


def _supervise(
    slot: Slot, directory: Path, root: Path, lock: int, handover: int
) -> subprocess.Popen[bytes]:
    command = ["unshare", "--mount", "--propagation", "private"]
    # unshare ignores SIGTERM while it waits; its death is what ends the supervisor in order.
    command += ["--pid", "--fork", "--kill-child=TERM", "--mount-proc"]
    command += [sys.executable, "-m", "tests.lab.supervisor", "--slot", str(slot.number)]
    command += ["--directory", str(directory), "--image", str(root), "--handover", str(handover)]
    inherited = [lock, handover]
    owner = os.environ.get(OWNER)
    if owner:
        inherited.append(os.pidfd_open(int(owner)))
        command += ["--owner", str(inherited[-1])]
    with (directory / "boot.log").open("ab") as log:
        return subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=inherited,
            # Not in the terminal's session: Ctrl-C ends `create`, which ends the supervisor.
            start_new_session=True,
        )


def reboot(host: Host) -> None:
    """Have a host shut down in order and boot again with its files and addresses.

    Raises:
        LabError: it does not come up again.
    """
    boot_id = "cat /proc/sys/kernel/random/boot_id"
    before = host.run(boot_id).stdout
    host.run("systemctl reboot", check=False)

    def is_new() -> bool:
        found = host.run(boot_id, check=False).stdout
        return bool(found) and found != before

    if not _wait_for(is_new, within_s=BOOT_DEADLINE_S):
        raise LabError(f"The host {host.name} did not boot again; see boot.log.")
    _wait_until_ready(host, Slot(host.slot).is_alive)


def _wait_until_ready(host: Host, is_alive: Callable[[], bool]) -> None:
    deadline = time.monotonic() + BOOT_DEADLINE_S
    command = host.ssh("systemctl is-system-running --wait", options=("-o", "ConnectTimeout=1"))
    state = "no answer"
    while time.monotonic() < deadline:
        if not is_alive():
            break
        with contextlib.suppress(subprocess.TimeoutExpired):
            done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=30)
            state = done.stdout.strip() or done.stderr.strip() or state
        if state == "running":
            return
        if state == "degraded":
            failed = host.run("systemctl --failed --no-legend --plain").stdout
            raise LabError(f"The host {host.name} booted with failed units:\n{failed}")
        time.sleep(0.1)
    words = "\n".join(_tail(Path(host.directory) / "boot.log"))
    raise LabError(
        f"The host {host.name} did not come up ({state}). Its console said:\n{words}",
        remedy="Check that this machine lets root run systemd-nspawn.",
    )


def _tail(path: Path, lines: int = 12) -> list[str]:
    return path.read_text(errors="replace").splitlines()[-lines:] if path.exists() else []


def _find(name: str) -> tuple[Slot, dict[str, Any]] | None:
    for slot, record in slots.recorded():
        if record.get("directory") == str(home(name)):
            return slot, record
    return None


def get(name: str) -> Host:
    """The running host of that name.

    Raises:
        LabError: there is none.
    """
    found = _find(name)
    if found is None or not found[0].is_alive() or "address" not in found[1]:
        raise LabError(f"No lab host {name} is running.", remedy="Create it first.")
    return Host(**{key: value for key, value in found[1].items() if key != "pid"})


def _wait_for(condition: Callable[[], Any], within_s: float | None = None) -> Any:
    """The condition's first true value, or its last false one when the deadline passes."""
    deadline = time.monotonic() + (STOP_DEADLINE_S if within_s is None else within_s)
    while (value := condition()) in (None, False) and time.monotonic() < deadline:
        time.sleep(0.05)
    return value


def destroy(name: str) -> bool:
    """End a host and remove every trace of it; False where there was none."""
    found = _find(name)
    if found is None:
        existed = home(name).exists()
        shutil.rmtree(home(name), ignore_errors=True)
        return existed
    slot, record = found
    lock = slot.try_lock()
    if lock is None:
        # A `create` that still runs unwinds by itself; see _supervise for the other signal.
        stop = signal.SIGTERM if record.get("creating") else signal.SIGKILL
        with contextlib.suppress(ProcessLookupError):
            os.kill(record["pid"], stop)
        lock = _wait_for(slot.try_lock)
    if lock is None:
        raise LabError(
            f"The host {name} does not end.",
            remedy=f"Look at process {record['pid']}, then destroy it again.",
        )
    remove(slot, Path(record["directory"]))
    os.close(lock)
    return True


def reap() -> list[str]:
    """Remove what dead supervisors left on this machine, in any working tree."""
    reaped = []
    for slot, record in slots.recorded():
        lock = slot.try_lock()
        if lock is None:
            continue
        if slot.record() is not None:
            remove(slot, Path(record["directory"]))
            reaped.append(record["name"])
        os.close(lock)
    return reaped


def running() -> list[dict[str, Any]]:
    """Every recorded host on this machine, with whether it lives."""
    return [{**record, "alive": slot.is_alive()} for slot, record in slots.recorded()]

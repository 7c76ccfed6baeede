"""The one process that a lab host's life hangs on.

`create` starts it by unshare(1) as PID 1 of a process namespace and in a mount namespace of its
own. When it ends, in whatever way, the kernel kills every process of the guest and unmounts the
overlay that nobody else can see. So even `kill -9` here leaves files only, and those are
recorded in the slot for `destroy`.

A guest that reboots keeps its files and addresses. The host ends when: SIGTERM arrives (also
from the kernel when unshare(1) is killed), the guest powers off, the owner process ends, or
`create` goes away before it has said that the host is ready.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import selectors
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.lab import cgroups
from tests.lab.errors import LabError
from tests.lab.slots import Slot, open_network, remove_network

LINK_DEADLINE_S = 20.0
# systemd-nspawn --keep-unit exits so when the guest reboots: whoever runs it starts it again.
REBOOTED = 133
# Without --keep-unit nspawn starts the guest again itself, and makes a new link.
LOOK_AT_LINK_S = 0.2


class Stopped(Exception):
    """Somebody asked this host to end."""


def _stop(_signal: int, _frame: object) -> None:
    raise Stopped


def mount(directory: Path, image: Path) -> Path:
    """Mount the host's overlay; the kernel copies up what the guest changes, on disk."""
    overlay = directory / "overlay"
    for part in ("upper", "work", "root"):
        (overlay / part).mkdir(parents=True, exist_ok=True)
    options = f"lowerdir={image},upperdir={overlay / 'upper'},workdir={overlay / 'work'}"
    root = overlay / "root"
    done = subprocess.run(
        ["mount", "-t", "overlay", "overlay", "-o", options, str(root)],
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise LabError(
            f"The overlay could not be mounted: {done.stderr.strip()}",
            remedy="Put the build directory on a disk file system such as ext4 or xfs.",
        )
    return root


def boot(slot: Slot, root: Path, console: Path) -> subprocess.Popen[bytes]:
    """Start the guest. Nothing of the controller is bound into it."""
    with console.open("ab") as log:
        return subprocess.Popen(
            [
                *("systemd-nspawn", "--quiet", "--boot", "--settings=no"),
                *("--directory", str(root), "--machine", slot.machine),
                # Without systemd on this machine there is nobody to ask for a scope.
                "--register=no",
                *([] if cgroups.machine_runs_systemd() else ["--keep-unit"]),
                *("--network-veth", "--resolv-conf=off", "--timezone=off", "--link-journal=no"),
                "--console=pipe",
            ],
            # nspawn's lock files would outlive the guest; the slot is locked already.
            env={**os.environ, "SYSTEMD_NSPAWN_LOCK": "0"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )


def wait_for_link(slot: Slot, guest: subprocess.Popen[bytes]) -> None:
    """Until nspawn has made the link."""
    deadline = time.monotonic() + LINK_DEADLINE_S
    while not Path(f"/sys/class/net/{slot.link}").exists():
        if guest.poll() is not None:
            raise LabError("The guest ended before it had a network link; see boot.log.")
        if time.monotonic() > deadline:
            raise LabError("The guest made no network link in time; see boot.log.")
        time.sleep(0.05)


def watch(
    slot: Slot, guest: subprocess.Popen[bytes], handover: int | None, owner: int | None
) -> None:
    """Block until the guest or the host should end; `owner` is a pidfd."""
    link = link_index(slot)
    with selectors.DefaultSelector() as selector:
        selector.register(os.pidfd_open(guest.pid), selectors.EVENT_READ, "guest")
        if handover is not None:
            selector.register(handover, selectors.EVENT_READ, "handover")
        if owner is not None:
            selector.register(owner, selectors.EVENT_READ, "owner")
        while True:
            for key, _ in selector.select(LOOK_AT_LINK_S):
                if key.data != "handover":
                    return
                if not os.read(key.fd, 1):
                    return
                # `create` is satisfied: from now on the host lives without it.
                selector.unregister(key.fd)
            if (found := link_index(slot)) not in (None, link):
                link = found
                open_network(slot)


def link_index(slot: Slot) -> str | None:
    """The kernel's number of the link, another one each time that it is made."""
    try:
        return Path(f"/sys/class/net/{slot.link}/ifindex").read_text()
    except OSError:
        return None


def live(slot: Slot, root: Path, arguments: argparse.Namespace) -> None:
    """Boot the guest, and again each time that it reboots, until the host should end."""
    handover: int | None = arguments.handover
    while True:
        guest = boot(slot, root, arguments.directory / "boot.log")
        wait_for_link(slot, guest)
        open_network(slot)
        watch(slot, guest, handover, arguments.owner)
        if guest.poll() != REBOOTED:
            return
        handover = None


def kill_guest() -> None:
    """Kill every process of this process namespace but ourselves, and see them gone."""
    os.kill(-1, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        while True:
            os.wait()


def remove(slot: Slot, directory: Path) -> None:
    """Remove all that a dead host leaves: network, groups, overlay, directory, record."""
    remove_network(slot)
    subprocess.run(
        ["umount", "--recursive", "--lazy", str(directory / "overlay" / "root")],
        check=False,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    cgroups.remove(slot.machine)
    with contextlib.suppress(OSError):
        (Path("/run/systemd/nspawn/propagate") / slot.machine).rmdir()
    shutil.rmtree(directory, ignore_errors=True)
    slot.write(None)


def main() -> int:
    """Run one host until it should end, then remove it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--slot", type=int, required=True)
    parser.add_argument("--directory", type=Path, required=True)
    parser.add_argument("--image", type=Path, required=True)
    parser.add_argument("--handover", type=int, required=True)
    parser.add_argument("--owner", type=int)
    arguments = parser.parse_args()
    slot = Slot(arguments.slot)
    if os.getpid() != 1:
        # kill_guest() would reach the whole machine.
        parser.error("runs only as PID 1 of its own process namespace; use `create`")
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    failed = False
    try:
        # The guest's directories must not inherit a private umask.
        os.umask(0o022)
        cgroups.enter(slot.machine)
        root = mount(arguments.directory, arguments.image)
        live(slot, root, arguments)
    except Stopped:
        pass
    except LabError as error:
        print(error.message, file=sys.stderr)
        failed = True
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        kill_guest()
        cgroups.leave()
        remove(slot, arguments.directory)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

"""Lab hosts leave nothing behind, whatever ends them, and reach nothing but their controller.

Real hosts, as root: no double of systemd-nspawn would prove any of this.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.lab import host as hosts
from tests.lab import slots
from tests.lab.errors import LabError
from tests.lab.host import ROOT, Host
from tests.lab.slots import Slot

LAB = [sys.executable, "-m", "tests.lab"]
# A `create` whose host never gets ready, to be interrupted at leisure.
ENDLESS = """
import time
from tests.lab import cli, host
host._wait_until_ready = lambda *_: time.sleep(600)
cli.main()
"""
NAME = f"labtest-{os.getpid()}"
DEADLINE_S = 30.0


@pytest.fixture(autouse=True)
def _no_host_outlives_its_test() -> Iterator[None]:
    yield
    hosts.destroy(NAME)


@pytest.fixture
def lab_host() -> Host:
    return hosts.create(NAME)


def wait_until(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def slot_of(name: str) -> Slot | None:
    home = str(hosts.home(name))
    return next((slot for slot, record in slots.recorded() if record["directory"] == home), None)


def traces(slot: Slot, name: str = NAME) -> list[str]:
    """Everything on this machine that still belongs to the host."""
    found = []
    if hosts.home(name).exists():
        found.append(f"directory {hosts.home(name)}")
    if Path(f"/sys/class/net/{slot.link}").exists():
        found.append(f"link {slot.link}")
    tables = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True)
    found += [line for line in tables.stdout.splitlines() if line.endswith(f" {slot.machine}")]
    found += [f"process {pid}" for pid in processes_in(slot)]
    found += [str(path) for path in Path("/sys/fs/cgroup").glob(f"*/{slot.machine}")]
    for mounts in Path("/proc").glob("[0-9]*/mountinfo"):
        try:
            if f"/lab/{name}/overlay" in mounts.read_text():
                found.append(str(mounts))
        except OSError:  # the process ended meanwhile
            continue
    if slot.record() is not None and slot_of(name) == slot:
        found.append(f"record in slot {slot.number}")
    return found


def processes_in(slot: Slot) -> list[str]:
    """Processes in the host's control group: the guest's, nspawn's, the supervisor's."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cgroup"):
        try:
            if f"/{slot.machine}" in file.read_text():
                found.append(file.parent.name)
        except OSError:  # the process ended meanwhile
            continue
    return found


def start_create() -> tuple[subprocess.Popen[bytes], Slot]:
    """A `create` that waits for its host, and the slot."""
    creating = subprocess.Popen([sys.executable, "-c", ENDLESS, "create", NAME], cwd=ROOT)
    assert wait_until(lambda: slot_of(NAME) is not None)
    slot = slot_of(NAME)
    assert slot is not None
    assert wait_until(lambda: Path(f"/sys/class/net/{slot.link}").exists())
    return creating, slot


def test_two_hosts_run_at_once_and_each_has_its_own_keys(lab_host: Host) -> None:
    other = hosts.create(f"{NAME}-b")
    try:
        assert other.address != lab_host.address
        key = "cat /etc/ssh/ssh_host_ed25519_key.pub"
        assert other.run(key).stdout.split()[1] != lab_host.run(key).stdout.split()[1]
        machine_id = "cat /etc/machine-id"
        assert other.run(machine_id).stdout != lab_host.run(machine_id).stdout
        # Neither reaches the other.
        probe = f"timeout 3 bash -c '</dev/tcp/{other.address}/22'"
        assert lab_host.run(probe, check=False).returncode != 0
        assert Path(lab_host.ssh_key).stat().st_mode & 0o777 == 0o600
        with pytest.raises(LabError, match="exists already"):
            hosts.create(NAME)
    finally:
        slot = Slot(other.slot)
        assert hosts.destroy(f"{NAME}-b")
    assert traces(slot, f"{NAME}-b") == []
    assert not hosts.destroy(f"{NAME}-b")


def test_a_host_that_adds_a_route_still_reaches_nothing(lab_host: Host) -> None:
    slot = Slot(lab_host.slot)
    lab_host.run(f"ip route add default via {slot.controller_address}")
    with socket.create_server(("0.0.0.0", 0)) as listener:
        port = listener.getsockname()[1]
        probe = f"timeout 3 bash -c '</dev/tcp/{slot.controller_address}/{port}'"
        assert lab_host.run(probe, check=False).returncode != 0
        # The same probe gets through once the filter is gone: it is the filter that holds.
        subprocess.run(["nft", "delete", "table", "inet", slot.machine], check=True)
        assert lab_host.run(probe, check=False).returncode == 0
        rules = slots.filter_rules(slot)
        subprocess.run(["nft", "-f", "-"], input=rules, text=True, check=True)
        assert lab_host.run(probe, check=False).returncode != 0


def test_a_rebooted_host_keeps_its_files_and_still_reaches_nothing(lab_host: Host) -> None:
    slot = Slot(lab_host.slot)
    lab_host.run("echo kept >/root/kept; echo gone >/run/gone")
    hosts.reboot(lab_host)
    assert lab_host.run("cat /root/kept; ls /run/gone", check=False).stdout == "kept\n"
    with socket.create_server(("0.0.0.0", 0)) as listener:
        probe = f"</dev/tcp/{slot.controller_address}/{listener.getsockname()[1]}"
        assert lab_host.run(f"timeout 3 bash -c '{probe}'", check=False).returncode != 0
    assert hosts.destroy(NAME)
    assert traces(slot) == []


def test_a_killed_supervisor_takes_its_guest_along_and_destroy_removes_the_rest() -> None:
    host = hosts.create(NAME)
    slot = Slot(host.slot)
    record = slot.record()
    assert record is not None
    children = Path(f"/proc/{record['pid']}/task/{record['pid']}/children").read_text().split()
    assert len(processes_in(slot)) > 3
    os.kill(int(children[0]), signal.SIGKILL)
    assert wait_until(lambda: not processes_in(slot) and not slot.is_alive())
    assert [entry["alive"] for entry in hosts.running() if entry["name"] == NAME] == [False]
    with pytest.raises(LabError, match="No lab host"):
        hosts.get(NAME)
    assert hosts.destroy(NAME)
    assert traces(slot) == []


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_create_leaves_nothing(stop: signal.Signals) -> None:
    creating, slot = start_create()
    creating.send_signal(stop)
    assert creating.wait(DEADLINE_S) != 0
    assert wait_until(lambda: not traces(slot)), traces(slot)


def test_a_host_made_under_guard_ends_with_the_guarded_command() -> None:
    script = f"{sys.executable} -m tests.lab create {NAME} --json; sleep 60"
    guard = subprocess.Popen(
        [*LAB, "guard", "--", "sh", "-c", script], cwd=ROOT, stdout=subprocess.PIPE
    )
    assert guard.stdout is not None
    reply = b""
    while not reply.endswith(b"}\n"):
        line = guard.stdout.readline()
        assert line, "the guarded command ended early"
        reply += line
    slot = Slot(json.loads(reply)["slot"])
    assert len(processes_in(slot)) > 3
    # Not even the guard gets to clean up.
    os.kill(guard.pid, signal.SIGKILL)
    guard.wait()
    assert wait_until(lambda: not traces(slot)), traces(slot)


def test_a_failed_boot_is_explained_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosts, "BOOT_DEADLINE_S", 0.0)
    with pytest.raises(LabError, match="did not come up"):
        hosts.create(NAME)
    assert slot_of(NAME) is None
    assert not hosts.home(NAME).exists()

"""Slots: which lab hosts live on this machine, and what each may call its own.

A slot is a number that names everything a host has outside its directory: its machine name,
its network link, its addresses, its packet filter. Whoever lives in a slot holds its lock;
the kernel drops the lock when that process dies, so a recorded slot without a lock is an orphan.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab.errors import LabError

REGISTRY = Path("/run/b3iq-lab")
COUNT = 64


@dataclass(frozen=True)
class Slot:
    """One slot and the names that follow from its number."""

    number: int

    @property
    def record_file(self) -> Path:
        """The record of the host that lives here; its lock is the proof of life."""
        return REGISTRY / f"{self.number}.json"

    @property
    def machine(self) -> str:
        """The name of the nspawn machine and of its packet filter table."""
        return f"b3iqlab{self.number}"

    @property
    def link(self) -> str:
        """The controller's end of the network link (nspawn names it so; 15 characters fit)."""
        return f"ve-{self.machine}"

    @property
    def controller_address(self) -> str:
        """The controller's end of a /30 of its own."""
        return f"10.213.{self.number}.1"

    @property
    def host_address(self) -> str:
        """The host's end."""
        return f"10.213.{self.number}.2"

    def record(self) -> dict[str, Any] | None:
        """What is recorded about the host here; None where nobody lives."""
        try:
            record: dict[str, Any] | None = json.loads(self.record_file.read_text() or "null")
        except (FileNotFoundError, json.JSONDecodeError):
            return None
        return record

    def write(self, record: dict[str, Any] | None) -> None:
        """Replace the record in place: the file itself carries the lock."""
        self.record_file.write_text(json.dumps(record) if record else "")

    def try_lock(self) -> int | None:
        """A descriptor that holds this slot, or None where somebody else does."""
        REGISTRY.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self.record_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        return descriptor

    def is_alive(self) -> bool:
        """Whether a process lives in this slot now."""
        descriptor = self.try_lock()
        if descriptor is None:
            return True
        os.close(descriptor)
        return False


@contextlib.contextmanager
def registering() -> Iterator[None]:
    """One at a time: look whether a name is taken, and take a slot for it."""
    REGISTRY.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (REGISTRY / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def claim() -> tuple[Slot, int]:
    """A free slot and the descriptor that holds it; call it while `registering`.

    Slots are taken in turn, so that an address is not used again soon: an SSH client may
    still hold a multiplexed connection (ControlPersist) to the dead host that had it.

    Raises:
        LabError: every slot is taken.
    """
    turn = REGISTRY / "turn"
    first = int(turn.read_text()) if turn.exists() else 0
    for number in range(first, first + COUNT):
        slot = Slot(number % COUNT)
        descriptor = slot.try_lock()
        if descriptor is None:
            continue
        if slot.record() is None and not Path(f"/sys/class/net/{slot.link}").exists():
            turn.write_text(str((slot.number + 1) % COUNT))
            return slot, descriptor
        os.close(descriptor)
    raise LabError("Every lab slot is taken.", remedy="Run `python -m tests.lab list`.")


def recorded() -> Iterator[tuple[Slot, dict[str, Any]]]:
    """Every slot with a record, living or orphaned."""
    for number in range(COUNT):
        slot = Slot(number)
        record = slot.record()
        if record is not None:
            yield slot, record


def filter_rules(slot: Slot) -> str:
    """nftables rules that leave the host nothing but answers to the controller.

    The host has no default route either; the rules also stop a host that adds one, and a
    controller that forwards packets or runs a proxy.
    """
    return f"""
table inet {slot.machine} {{
    chain input {{
        type filter hook input priority -10; policy accept;
        iifname "{slot.link}" ct state established,related accept
        iifname "{slot.link}" drop
    }}
    chain forward {{
        type filter hook forward priority -10; policy accept;
        iifname "{slot.link}" drop
        oifname "{slot.link}" drop
    }}
}}
"""


def open_network(slot: Slot) -> None:
    """Close the link to all but the controller's own connections, then bring it up."""
    remove_network(slot, link=False)
    _run(["nft", "-f", "-"], filter_rules(slot))
    _run(["ip", "address", "add", f"{slot.controller_address}/30", "dev", slot.link])
    _run(["ip", "link", "set", slot.link, "up"])


def remove_network(slot: Slot, *, link: bool = True) -> None:
    """Remove the packet filter and the link, where they exist."""
    commands = [["nft", "delete", "table", "inet", slot.machine]]
    if link:
        commands.append(["ip", "link", "delete", slot.link])
    for command in commands:
        subprocess.run(command, check=False, capture_output=True)


def _run(command: list[str], stdin: str = "") -> None:
    done = subprocess.run(command, input=stdin, check=False, capture_output=True, text=True)
    if done.returncode:
        raise LabError(f"`{' '.join(command)}` failed: {done.stderr.strip()}")

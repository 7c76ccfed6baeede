"""An installed host that is well: real files below a directory, and a machine that tests set.

What only a running system has is set beside the files: the owners of files (an ordinary user may
not give a file away), what commands print, who answers on sockets, the clock and the disk.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import stat
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from b3iq.checks import file_permissions
from b3iq.checks.confinement import SETTINGS
from b3iq.checks.credentials_sealed import HOST_AND_TPM2
from b3iq.checks.host import ENGINE, NODE, UNITS, Host
from b3iq.checks.kernel_settings import FILE as SYSCTL
from b3iq.checks.machine import CannotLook, Machine, Space
from b3iq.credentials.secret_files import LAN_TLS, LENGTHS
from b3iq.credentials.secret_table import DECRYPTED
from b3iq.updater import floors
from b3iq.updater.status import floors_file, rooted
from tests.attacks import parts

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
PIDS = {NODE: 201, ENGINE: 301}
WORKER = 202
SYSCTLS = {"fs.suid_dumpable": "0", "kernel.yama.ptrace_scope": "2"}
# As systemd 252 prints its last line.
EXPOSURE = "→ Overall exposure level for {}: {} SAFE 😀\n"
# The head of each table of proc(5), and a listener: address, state and user are the fields
# that count.
LAN = 'lan_listen_address = "192.0.2.10"\nlan_allow = ["192.0.2.0/24"]\n'
TABLE = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n"
LISTENER = "   0: {} 00000000:0000 {} 00000000:00000000 00:00000000 00000000 {:>5} 0 31 1\n"


@dataclass
class FakeMachine(Machine):
    """Says what tests want it to say."""

    root: Path
    units: dict[str, dict[str, str]]
    owners: dict[str, str] = field(default_factory=dict)
    scores: dict[str, float] = field(default_factory=lambda: {NODE: 0.4, ENGINE: 0.5})
    version: str = "systemd 252 (252.39-1~deb12u2)\n"
    answers: dict[str, dict[str, Any] | None] = field(default_factory=dict)
    room: Space = field(default_factory=lambda: Space(50 << 30, 1_000_000))
    clock: datetime = NOW
    # One network may come, the others are dropped: see LAN.
    rules: list[dict[str, Any]] = field(
        default_factory=lambda: [{"rule": {"family": "inet", "table": "b3iq"}}] * 2
    )

    def run(self, *command: str) -> str:
        match command[0]:
            case "systemctl" if command[1] == "--version":
                return self.version
            case "systemctl":
                return "\n\n".join(_block(name, self.units[name]) for name in UNITS) + "\n"
            case "nft":
                return json.dumps({"nftables": self.rules})
            case "systemd-analyze":
                return EXPOSURE.format(command[-1], self.scores[command[-1]])
        raise CannotLook(f"{command[0]} could not be run.")

    def get(self, path: str, *, port: int = 0, socket: Path | None = None) -> dict[str, Any] | None:
        return self.answers.get(f"{socket.name if socket else port}{path}")

    def now(self) -> datetime:
        return self.clock

    def space(self, path: Path) -> Space:
        return self.room

    def owner(self, path: Path) -> str:
        return self.owners.get(f"/{path.relative_to(self.root)}", "root:root")


def _block(name: str, properties: dict[str, str]) -> str:
    return "\n".join(f"{key}={value}" for key, value in {"Id": name, **properties}.items())


@dataclass
class FakeHost:
    """The host and what a test changes of it."""

    host: Host
    machine: FakeMachine

    def write(self, path: str, content: str | bytes, mode: int = 0o644, owner: str = "") -> Path:
        place = self.host.at(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        raw = content.encode() if isinstance(content, str) else content
        place.write_bytes(raw)
        place.chmod(mode)
        if owner:
            self.machine.owners[path] = owner
        return place

    def edit(self, path: str, old: str, new: str) -> None:
        place = self.host.at(path)
        text = place.read_text()
        assert old in text
        place.write_text(text.replace(old, new))


def installed(root: Path) -> FakeHost:
    """A host on which every check is ok."""
    units = {
        name: {"ActiveState": "active", "UnitFileState": "enabled", "NeedDaemonReload": "no"}
        for name in UNITS
    }
    for name, pid in PIDS.items():
        units[name] |= {"MainPID": str(pid), "NRestarts": "0", **SETTINGS[name]}
    machine = FakeMachine(root, units)
    fake = FakeHost(Host(rooted(root), installed=True, root=root, machine=machine), machine)
    model_sha256 = _model(fake)
    _release(fake)
    _settings(fake, model_sha256)
    _system(fake)
    for pid in (*PIDS.values(), WORKER):
        _process(fake, pid)
    fake.write(f"/proc/{PIDS[NODE]}/task/{PIDS[NODE]}/children", f"{WORKER} ")
    _permissions(fake)
    _answers(fake, model_sha256)
    return fake


def _model(fake: FakeHost) -> str:
    packed, sha256 = parts.model()
    for member, content in packed.members:
        fake.write(f"/var/lib/b3iq/models/b3iq-tiny/{member.name}", content)
    return sha256


def _release(fake: FakeHost) -> None:
    manifest = parts.Release().manifest
    opt = fake.host.paths.opt
    for layer in manifest["layers"]:
        place = opt / layer["install_path"]
        place.mkdir(parents=True)
        if layer["kind"] != "node":
            (place / "layer.json").write_text(json.dumps({"sha256": layer["sha256"]}))
    paths = {layer["kind"]: layer["install_path"] for layer in manifest["layers"]}
    fake.write(f"/opt/b3iq/{paths['node']}/release-manifest.json", json.dumps(manifest))
    (opt / paths["node"] / "runtime").symlink_to(f"../../{paths['runtime']}")
    (opt / "current").symlink_to(paths["node"])
    (opt / "updater").symlink_to(paths["updater"])
    fake.host.at("/usr/local/bin").mkdir(parents=True)
    fake.host.at("/usr/local/bin/b3iq").symlink_to("/opt/b3iq/current/bin/b3iq")


def trusted_root(expires: str = "2027-11-24T00:00:00Z") -> str:
    """What is read of a TUF root; signatures are the updater's business."""
    roles = {name: {"keyids": ["a", "b", "c"], "threshold": 2} for name in ("root", "targets")}
    signed = {"_type": "root", "version": 1, "expires": expires, "roles": roles}
    return json.dumps({"signed": signed, "signatures": []})


def pin(fake: FakeHost, root: str) -> None:
    """Pin a root, and let the machine have seen it an hour ago."""
    path = fake.write("/etc/b3iq/trusted-root.json", root)
    known = floors.first(hashlib.sha256(path.read_bytes()).hexdigest())
    known = known.model_copy(update={"latest_time": NOW.replace(hour=11)})
    floors.write(floors_file(fake.host.paths), known)


def _settings(fake: FakeHost, model_sha256: str) -> None:
    fake.write("/etc/b3iq/node.toml", "listen_port = 8831\n" + LAN)
    fake.write("/etc/b3iq/lan.nft", "table inet b3iq {}\n")
    fake.write("/etc/b3iq/update.toml", "")
    fake.write("/var/lib/b3iq/update-status.json", "{}")
    fake.host.at("/var/lib/b3iq/update-spool").mkdir()
    fake.write(
        "/etc/b3iq/engine.toml", f'model = "b3iq-tiny"\nmanifest_sha256 = "{model_sha256}"\n'
    )
    pin(fake, trusted_root())
    for name in (*LENGTHS, LAN_TLS):
        sealed = base64.b64encode(bytes.fromhex(HOST_AND_TPM2) + b"ciphertext").decode()
        path = fake.write(f"/etc/credstore.encrypted/{name}", sealed, 0o600)
        fake.write(f"{DECRYPTED}/b3iq-node.service/{name}", "secret", 0o400, "b3iq-node:root")
        os.utime(path, (NOW.timestamp() - 3600,) * 2)
    fake.write("/var/lib/systemd/credential.secret", "the host's key", 0o400)
    header = b"SQLite format 3\0" + b"\x10\x00\2\2" + b"\0" * 80
    fake.write("/var/lib/b3iq/node/node.db", header, 0o600, "b3iq-node:b3iq-node")


def _system(fake: FakeHost) -> None:
    names = ("b3iq-node", "b3iq-engine")
    accounts = [f"{name}:x:{997 + n}:{997 + n}:B3IQ service:/nonexistent:/usr/sbin/nologin"
                for n, name in enumerate(names)]  # fmt: skip
    fake.write("/etc/passwd", "root:x:0:0:root:/root:/bin/bash\n" + "\n".join(accounts) + "\n")
    fake.write("/etc/shadow", "".join(f"{name}:!:20000::::::\n" for name in names))
    fake.write(SYSCTL, "# Ansible managed\n" + "".join(f"{k} = {v}\n" for k, v in SYSCTLS.items()))
    for name, value in SYSCTLS.items():
        fake.write(f"/proc/sys/{name.replace('.', '/')}", f"{value}\n")
    fake.write("/sys/fs/cgroup/cgroup.controllers", "cpu memory pids\n")
    # The node on loopback and on the LAN (192.0.2.10:8832), the host's SSH server for everybody.
    open_at = ("0100007F:227F", "0A0200C0:2280", "00000000:0016")
    listeners = "".join(LISTENER.format(address, "0A", 0) for address in open_at)
    for table in ("tcp", "tcp6", "udp", "udp6"):
        fake.write(f"/proc/net/{table}", TABLE + (listeners if table == "tcp" else ""))


def _process(fake: FakeHost, pid: int) -> None:
    fake.write(f"/proc/{pid}/net/dev", "Inter-| Receive\n face |bytes\n    lo: 0 0\n")
    fake.write(
        f"/proc/{pid}/limits", "Limit   Soft  Hard  Units\nMax core file size  0  0  bytes\n"
    )
    fake.write(f"/proc/{pid}/status", "Name:\tb3iq-node\nVmSwap:\t       0 kB\n")


def _permissions(fake: FakeHost) -> None:
    """Owners and modes as the table of the check has them, whatever this user's umask is."""
    run = fake.host.paths.run
    run.mkdir(parents=True)
    for name in ("admin.sock", "engine.sock"):
        os.mknod(run / name, stat.S_IFSOCK | 0o600)
    for pattern, wanted in file_permissions.TABLE.items():
        found = fake.host.matching(pattern)
        assert found, f"the fake host has no {pattern}"
        for path in found:
            if wanted.kind != "link":
                path.chmod(wanted.mode)
            fake.machine.owners[fake.host.named(path)] = wanted.owner


def _answers(fake: FakeHost, model_sha256: str) -> None:
    model = {"id": "b3iq-tiny", "manifest_sha256": model_sha256}
    fake.machine.answers = {
        "8831/health": {"status": "ok"},
        "admin.sock/admin/status": {"version": "0.1.0", "claimed": True, "audit_intact": True},
        "engine.sock/health": {},
        "engine.sock/v1/models": {"data": [model]},
    }

"""What makes a lab host itself: its keys, name and address. No two hosts share any of it."""

from __future__ import annotations

import subprocess
from pathlib import Path


def seed(name: str, address: str, directory: Path) -> None:
    """Write the keys below `directory`, and name, address and keys into the host's upper layer."""
    upper = directory / "overlay" / "upper"
    ssh_key, host_key = directory / "ssh_key", directory / "host_key"
    for path, comment in ((ssh_key, "b3iq-lab"), (host_key, name)):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path)],
            check=True,
        )
    public = host_key.with_suffix(".pub").read_text()
    (directory / "known_hosts").write_text(f"{address} {public}")
    network = (
        f"[Match]\nName=host0\n[Network]\nAddress={address}/30\n"
        "LinkLocalAddressing=no\nIPv6AcceptRA=no\nLLDP=no\n"
    )
    etc, ssh = upper / "etc", upper / "etc/ssh"
    _put(upper / "root/.ssh/authorized_keys", ssh_key.with_suffix(".pub").read_text(), 0o600)
    _put(ssh / "ssh_host_ed25519_key", host_key.read_text(), 0o600)
    _put(ssh / "ssh_host_ed25519_key.pub", public, 0o644)
    _put(etc / "systemd/network/10-lab.network", network, 0o644)
    _put(etc / "hostname", f"{name}\n", 0o644)
    _put(etc / "hosts", f"127.0.0.1 localhost\n127.0.1.1 {name}\n", 0o644)
    for private in (upper / "root", upper / "root/.ssh"):
        private.chmod(0o700)
    host_key.unlink()
    host_key.with_suffix(".pub").unlink()


def _put(path: Path, text: str, mode: int) -> None:
    """Write a file of the guest below directories that its users can enter."""
    for parent in reversed(path.parents):
        if not parent.exists():
            parent.mkdir()
            parent.chmod(0o755)
    path.write_text(text)
    path.chmod(mode)

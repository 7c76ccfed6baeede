"""The LAN listener of an installed host, as another machine meets it: the parts of its tests."""

from __future__ import annotations

import json
import re
import socket
import ssl
import subprocess
from dataclasses import dataclass
from typing import Any

import httpx

from tests.lab import operate
from tests.lab.host import Host
from tests.lab.slots import Slot

PORT = 8832
NAME = "node.lan"
FILTER = "b3iq-lan-filter.service"
CERTIFICATE = "/etc/credstore.encrypted/b3iq-lan-tls"
# The filter's bound is that of docs/hardening.md; the services' must not change at all.
FILTER_LIMIT = 3.0

# All that the listener adds to a host, and what it must leave as it was.
STATE = f"""
sha256sum /etc/b3iq/* /etc/systemd/system/b3iq*
find /etc/systemd/system/nftables* -type f -exec sha256sum {{}} + -o -print 2>&1
ls -l /etc/credstore.encrypted
nft list ruleset
ss -tlnpH | sed 's/users:.*//; s/  *$//' | sort
systemctl list-units --no-legend --plain 'b3iq*'
systemctl list-unit-files --no-legend 'b3iq*' {FILTER}
"""


@dataclass(frozen=True)
class Lan:
    """A client of the listener that trusts the pinned certificate and no other."""

    host: Host
    pem: str

    @property
    def base_url(self) -> str:
        return f"https://{self.host.address}:{PORT}"

    def client(self, source: str | None = None, **headers: str) -> httpx.Client:
        trust = ssl.create_default_context(cadata=self.pem)
        transport = httpx.HTTPTransport(verify=trust, local_address=source)
        return httpx.Client(
            base_url=self.base_url, transport=transport, headers=headers, timeout=10
        )

    def told(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.host.run("b3iq lan --json").stdout)["lan"]
        return told


def state(host: Host) -> str:
    return host.run(STATE).stdout


def exposures(host: Host) -> dict[str, float]:
    return {unit: operate.exposure(host, unit)[0] for unit in operate.UNITS}


def opening(host: Host) -> dict[str, object]:
    """The settings that open the listener to the machine that runs the tests."""
    return {
        "node_lan_listen_address": host.address,
        "node_lan_allow": [Slot(host.slot).controller_address],
        "node_lan_host_names": [NAME],
    }


def changed(done: subprocess.CompletedProcess[str]) -> int:
    """How many tasks of a play that went well changed something."""
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    recap = re.search(r"changed=(\d+) +unreachable=0 +failed=0", done.stdout)
    assert recap, done.stdout[-1000:]
    return int(recap[1])


def connects(host: Host, source: str, port: int) -> bool:
    """Whether a TCP connection from an address of ours comes about."""
    try:
        socket.create_connection((host.address, port), 2, source_address=(source, 0)).close()
    except OSError:
        return False
    return True


def found_by_doctor(host: Host) -> list[str]:
    checks = json.loads(host.run("b3iq doctor --json", check=False).stdout)["checks"]
    return [check["id"] for check in checks if check["result"] in {"failed", "could_not_run"}]

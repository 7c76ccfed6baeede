"""What the node's role makes of a LAN listener, rendered by Ansible and held against its parts.

The packet filter's rules run in a kernel, in a network namespace of their own.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from b3iq.config import NodeConfig, load
from tests.contract.role_readme import ROOT
from tests.contract.test_roles_units import exposure, settings

NFT = "/usr/sbin/nft"
OFF: dict[str, Any] = {}
ON: dict[str, Any] = {
    "node_lan_listen_address": "0.0.0.0",
    "node_lan_listen_port": 8443,
    "node_lan_host_names": ["node.lan", "192.168.1.10"],
    "node_lan_allow": ["192.168.1.0/24", "fd00:1::/64", "127.0.0.5"],
}
FILES = {
    "node.toml": "etc/b3iq/node.toml.j2",
    "lan.nft": "etc/b3iq/lan.nft.j2",
    "b3iq-node.socket": "etc/systemd/system/b3iq-node.socket.j2",
    "b3iq-node.service": "etc/systemd/system/b3iq-node.service.j2",
    "b3iq-lan-filter.service": "etc/systemd/system/b3iq-lan-filter.service.j2",
}


def render(directory: Path, variables: dict[str, Any]) -> Path:
    """Render the role's files as the playbook would, and what it would run."""
    role = ROOT / "roles/node"
    tasks: list[dict[str, Any]] = [
        {
            "name": f"Render {name}",
            "ansible.builtin.template": {
                "src": str(role / "templates" / source),
                "dest": str(directory / name),
                "mode": "0600",
            },
        }
        for name, source in FILES.items()
    ]
    tasks.append(
        {
            "name": "Keep the command",
            "ansible.builtin.copy": {
                "content": "{{ _node_create_credentials | to_json }}",
                "dest": str(directory / "command.json"),
                "mode": "0600",
            },
        }
    )
    play = {
        "name": "Render",
        "hosts": "localhost",
        "connection": "local",
        "gather_facts": False,
        "vars_files": [str(role / "defaults/main.yml"), str(role / "vars/main.yml")],
        "vars": {"node_release": "1.0.0", "ansible_managed": "Ansible managed"},
        "tasks": tasks,
    }
    (directory / "play.yml").write_text(yaml.safe_dump([play]))
    (directory / "given.yml").write_text(yaml.safe_dump(variables))
    subprocess.run(
        [ROOT / ".venv/bin/ansible-playbook", "-e", "@given.yml", "play.yml"],
        cwd=directory,
        check=True,
        capture_output=True,
        env=os.environ | {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")},
    )
    return directory


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return render(tmp_path_factory.mktemp("on"), ON)


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return render(tmp_path_factory.mktemp("off"), OFF)


def unit(directory: Path, name: str) -> dict[str, list[str]]:
    return settings((directory / name).read_text())


def test_by_default_nothing_of_the_lan_is_there(closed: Path) -> None:
    assert unit(closed, "b3iq-node.socket")["ListenStream"] == [
        "127.0.0.1:8831",
        "/run/b3iq/admin.sock",
    ]
    assert unit(closed, "b3iq-node.socket")["IPAddressAllow"] == ["localhost"]
    for name in ("b3iq-node.socket", "b3iq-node.service"):
        assert "lan" not in (closed / name).read_text()
    assert not load(NodeConfig, closed / "node.toml").has_lan
    assert "--lan-name" not in json.loads((closed / "command.json").read_text())


def test_the_socket_unit_admits_the_allow_list_and_needs_the_filter(opened: Path) -> None:
    found = unit(opened, "b3iq-node.socket")
    assert found["ListenStream"] == ["127.0.0.1:8831", "/run/b3iq/admin.sock", "0.0.0.0:8443"]
    assert found["IPAddressDeny"] == ["any"]
    assert found["IPAddressAllow"] == ["localhost", *ON["node_lan_allow"]]
    assert found["Requires"] == found["After"] == ["b3iq-lan-filter.service"]


def test_the_service_keeps_its_confinement_and_gets_one_more_secret(
    opened: Path, closed: Path
) -> None:
    on, off = (unit(directory, "b3iq-node.service") for directory in (opened, closed))
    more = "b3iq-lan-tls:/etc/credstore.encrypted/b3iq-lan-tls"
    assert on["LoadCredentialEncrypted"] == [*off["LoadCredentialEncrypted"], more]
    assert {key for key in on if on[key] != off.get(key)} == {"LoadCredentialEncrypted"}


def test_the_settings_are_what_the_node_reads(opened: Path) -> None:
    config = load(NodeConfig, opened / "node.toml")
    assert config.lan_allow == ON["node_lan_allow"]
    assert config.lan_names == ["node.lan", "192.168.1.10"]
    command = json.loads((opened / "command.json").read_text())
    assert command[-4:] == ["--lan-name", "node.lan", "--lan-name", "192.168.1.10"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd's own tool")
def test_the_filters_unit_may_do_nothing_but_filter(opened: Path, tmp_path: Path) -> None:
    name = "b3iq-lan-filter.service"
    text = (opened / name).read_text()
    score, against = exposure(text, tmp_path, name)
    assert score <= 3.0, against
    assert settings(text)["CapabilityBoundingSet"] == ["CAP_NET_ADMIN"]
    documented = (ROOT / "docs/hardening.md").read_text(encoding="utf-8")
    assert f"| `{name}` | 3.0 |" in documented


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd's own tool")
def test_systemd_takes_the_units(opened: Path) -> None:
    names = ("b3iq-node.socket", "b3iq-lan-filter.service")
    done = subprocess.run(
        ["systemd-analyze", "verify", *(str(opened / name) for name in names)],
        capture_output=True,
        text=True,
        check=False,
    )
    # Of other units and of programs that are not installed here it may complain.
    ours = [line for line in done.stderr.splitlines() if re.search(r"b3iq-\S+:\d+:", line)]
    assert ours == []


# Run in a namespace: who of 127.0.0.0/8 reaches the LAN port, and the port beside it.
KNOCK = """
import json, socket, subprocess, sys
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
listeners = [socket.create_server(("127.0.0.2", port)) for port in (8443, 8444)]
for _ in range(2):  # the second load replaces the first
    subprocess.run([sys.argv[1], "-f", sys.argv[2]], check=True)
def knock(source, port):
    with socket.socket() as s:
        s.settimeout(0.5)
        s.bind((source, 0))
        return s.connect_ex(("127.0.0.2", port)) == 0
print(json.dumps({
    "listed": knock("127.0.0.5", 8443),
    "stranger": knock("127.0.0.6", 8443),
    "another port": knock("127.0.0.6", 8444),
}))
subprocess.run([sys.argv[1], "delete", "table", "inet", "b3iq"], check=True)
assert knock("127.0.0.6", 8443)
"""
IN_A_NAMESPACE = ["unshare", "--net"]
CAN_FILTER = (
    Path(NFT).exists()
    and subprocess.run([*IN_A_NAMESPACE, NFT, "list", "ruleset"], capture_output=True).returncode
    == 0
)


@pytest.mark.skipif(not CAN_FILTER, reason="needs root, nft and network namespaces")
def test_the_packet_filter_lets_the_allow_list_through_and_nobody_else(opened: Path) -> None:
    done = subprocess.run(
        [*IN_A_NAMESPACE, "python3", "-", NFT, str(opened / "lan.nft")],
        input=KNOCK,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"listed": True, "stranger": False, "another port": True}

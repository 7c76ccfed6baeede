"""Preflight finds each known fault, and all of them at once.

The judgement runs as Ansible runs it, on facts of hosts that are wrong in one way each; the probe
itself runs in a shell on this machine.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.contract.role_readme import ROOT

PROBE = ROOT / "roles/preflight/files/probe.sh"
GOOD: dict[str, Any] = {
    "os_id": "debian",
    "os_version": "12",
    "architecture": "amd64",
    "pid1": "systemd",
    "python": True,
    "installed": False,
    "foreign": "",
    "port_holder": "",
    "lan_port_holder": "",
    "nft": False,
    "nvidia_driver": "",
    "nvidia_devices": False,
    "disks": [
        {"path": "/opt/b3iq", "mount": "/", "free_mb": 50000},
        {"path": "/var/lib/b3iq", "mount": "/", "free_mb": 50000},
    ],
}
SMALL = [
    {"path": "/opt/b3iq", "mount": "/", "free_mb": 3500},
    {"path": "/var/lib/b3iq", "mount": "/", "free_mb": 3500},
]
SPLIT = [
    {"path": "/opt/b3iq", "mount": "/opt", "free_mb": 3500},
    {"path": "/var/lib/b3iq", "mount": "/var", "free_mb": 900},
]
GPU = {"nvidia_driver": "550.54.15", "nvidia_devices": True}

# What is wrong, and a word of the remedy. An empty list: the host is fine.
CASES: dict[str, tuple[dict[str, Any], dict[str, Any], list[str]]] = {
    "a fresh Debian 12 host": ({}, {}, []),
    "an old Debian": ({"os_version": "11"}, {}, ["debian 11"]),
    "another distribution": ({"os_id": "ubuntu", "os_version": "24.04"}, {}, ["Debian 12 host"]),
    "another architecture": ({"architecture": "arm64"}, {}, ["arm64"]),
    "no systemd": ({"pid1": "init"}, {}, ["boots with systemd"]),
    "no python3.11": ({"python": False}, {}, ["apt-get install python3"]),
    "one disk too small for both": ({"disks": SMALL}, {}, ["/ has 3500 MiB free of 4096 MiB"]),
    "two disks, one too small": ({"disks": SPLIT}, {}, ["/var has 900 MiB free of 1024 MiB"]),
    "an installed host with a full disk": ({"disks": SMALL, "installed": True}, {}, []),
    "the port taken": ({"port_holder": "nginx"}, {}, ["taken by nginx"]),
    "the port held by the node itself": ({"port_holder": "ours"}, {}, []),
    "somebody's account": ({"foreign": "the account b3iq-node"}, {}, ["the account b3iq-node"]),
    "a LAN listener": (
        {"nft": True},
        {"preflight_lan_port": 8832, "preflight_lan_allow": ["192.168.1.0/24"]},
        [],
    ),
    "a LAN listener for nobody, unfiltered, on a port that is taken": (
        {"lan_port_holder": "nginx"},
        {"preflight_lan_port": 8832},
        ["8832 is taken by nginx", "List networks in node_lan_allow", "apt-get install nftables"],
    ),
    "cuda without a driver": ({}, {"preflight_accelerator": "cuda"}, ["no NVIDIA driver"]),
    "cuda without the devices": (
        GPU | {"nvidia_devices": False},
        {"preflight_accelerator": "cuda"},
        ["nvidia-modprobe"],
    ),
    "cuda with a driver": (GPU, {"preflight_accelerator": "cuda"}, []),
    "a misspelled setting": ({}, {"node_listen_prot": 8831}, ["node_listen_prot"]),
    "another project's variable": ({}, {"node_exporter_port": 9100}, []),
    "a required setting missing": ({}, {"required": True}, ["b3iq_trusted_root is not set"]),
    "a value outside its choices": ({}, {"b3iq_accelerator": "gpu"}, ["one of: cpu, cuda"]),
    "a file that is not there": ({}, {"b3iq_trusted_root": "/no/root.json"}, ["no such file"]),
    "a number that is none": ({}, {"node_stream_limit": "many"}, ["node_stream_limit"]),
    "everything at once": (
        {"os_version": "11", "pid1": "init", "port_holder": "nginx", "disks": SMALL},
        {"node_listen_prot": 1, "b3iq_accelerator": "gpu"},
        ["node_listen_prot", "one of", "debian 11", "systemd", "3500", "nginx"],
    ),
}


def inventory() -> dict[str, Any]:
    """One host a case; its wrong facts stand where the probe's would."""
    hosts: dict[str, Any] = {}
    for number, (facts, settings, _) in enumerate(CASES.values()):
        play = [
            {"name": "b3iq_trusted_root", "about": "the file", "file": True},
            {"name": "b3iq_accelerator", "about": "what", "choices": ["cpu", "cuda"]},
        ]
        if settings.get("required"):
            play[0]["required"] = True
        hosts[f"case{number}"] = {
            "facts_of_the_case": GOOD | facts,
            "preflight_play_variables": play,
            "preflight_roles": ["preflight", "node", "engine"],
        } | {name: value for name, value in settings.items() if name != "required"}
    return {"all": {"vars": {"ansible_connection": "local"}, "hosts": hosts}}


PLAYBOOK = [
    {
        "name": "Judge each case",
        "hosts": "all",
        "gather_facts": False,
        "tasks": [
            {
                "name": "Put the facts of the case in place",
                "ansible.builtin.set_fact": {"__preflight_found": "{{ facts_of_the_case }}"},
            },
            {
                "name": "Judge",
                "ansible.builtin.import_role": {"name": "preflight", "tasks_from": "judge"},
            },
        ],
    }
]


@pytest.fixture(scope="module")
def findings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Findings of each case, from one run of ansible-playbook."""
    directory = tmp_path_factory.mktemp("preflight")
    (directory / "hosts.yml").write_text(yaml.safe_dump(inventory()))
    (directory / "play.yml").write_text(yaml.safe_dump(PLAYBOOK))
    done = subprocess.run(
        [ROOT / ".venv/bin/ansible-playbook", "-i", "hosts.yml", "play.yml"],
        cwd=directory,
        capture_output=True,
        text=True,
        env=os.environ
        | {
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_ROLES_PATH": str(ROOT / "roles"),
            "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default",
            "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
        },
    )
    assert "unreachable=0" in done.stdout, done.stdout + done.stderr
    found: dict[str, list[str]] = {name: [] for name in CASES}
    names = list(CASES)
    for host, body in re.findall(
        r"^fatal: \[case(\d+)\]: FAILED! => ({.*})$", done.stdout, re.MULTILINE
    ):
        message = json.loads(body)["msg"]
        found[names[int(host)]] = re.findall(r"^\d+\. (.*)$", message, re.MULTILINE)
        assert found[names[int(host)]], message
    return found


@pytest.mark.parametrize("case", CASES)
def test_preflight_finds_exactly_what_is_wrong(case: str, findings: dict[str, list[str]]) -> None:
    expected = CASES[case][2]
    assert len(findings[case]) == len(expected), findings[case]
    for words in expected:
        assert any(words in finding for finding in findings[case]), findings[case]


def probe(*arguments: str) -> dict[str, Any]:
    done = subprocess.run(
        ["sh", str(PROBE), *arguments], check=True, capture_output=True, text=True
    )
    return json.loads(done.stdout)


def test_the_probe_says_what_this_machine_is() -> None:
    found = probe("1", "0", "b3iq-node.socket", "/opt/b3iq", "/var/lib/b3iq")
    assert sorted(found) == sorted(GOOD)
    assert found["pid1"] == Path("/proc/1/comm").read_text().strip()
    assert found["python"] is Path("/usr/bin/python3.11").exists()
    assert [disk["path"] for disk in found["disks"]] == ["/opt/b3iq", "/var/lib/b3iq"]
    assert all(disk["free_mb"] > 0 for disk in found["disks"])


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6], ids=["IPv4", "IPv6"])
def test_the_probe_sees_that_a_port_is_taken(family: socket.AddressFamily) -> None:
    with socket.socket(family) as listener:
        listener.bind(("127.0.0.1" if family is socket.AF_INET else "::1", 0))
        port = str(listener.getsockname()[1])
        assert probe(port, "0", "b3iq-node.socket")["port_holder"] == ""
        listener.listen()
        assert probe(port, "0", "b3iq-node.socket")["port_holder"] not in ("", "ours")
    assert probe(port, "0", "b3iq-node.socket")["port_holder"] == ""


def test_the_probe_sees_that_the_lan_port_is_taken_too() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        found = probe("1", port, "b3iq-node.socket")
    assert found["lan_port_holder"] not in ("", "ours")
    assert found["port_holder"] == ""


def test_the_probe_runs_where_there_is_no_python(tmp_path: Path) -> None:
    """A host where Python is missing must still get its findings."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for tool in ("awk", "cat", "cut", "df", "dirname", "dpkg", "grep", "head", "sed", "tail", "tr"):
        (tools / tool).symlink_to(f"/usr/bin/{tool}")
    done = subprocess.run(
        ["/bin/sh", str(PROBE), "1", "0", "b3iq-node.socket", "/opt"],
        check=True,
        capture_output=True,
        text=True,
        env={"PATH": str(tools)},
    )
    assert json.loads(done.stdout)["os_id"]

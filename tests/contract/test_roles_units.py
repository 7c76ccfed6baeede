"""What the units confine, judged by systemd's own tool before any host has them.

The installed units are judged again on a real host; here both accelerators are, since no host of
the lab has a GPU.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml

from tests.contract.role_readme import ROOT

UNITS = {
    ("node", "cpu"): 1.2,
    ("engine", "cpu"): 1.0,
    ("engine", "cuda"): 1.0,
}


def unit(role: str, accelerator: str, kind: str = "service") -> str:
    """A unit as the role renders it; only names of vars/ that the templates use."""
    devices = yaml.safe_load((ROOT / "roles/engine/vars/main.yml").read_text())["_engine_devices"]
    defaults = yaml.safe_load((ROOT / f"roles/{role}/defaults/main.yml").read_text())
    given = {
        "ansible_managed": "Ansible managed",
        "_engine_device": devices[accelerator],
        "_engine_stop_timeout_s": 45,
        "_node_stop_timeout_s": 45,
        "_node_tasks_limit": 128,
        "_node_listen": "127.0.0.1:8831",
        # Without a LAN listener; with one, test_roles_lan renders them as Ansible does.
        "_node_lan_listen": [],
        "_node_lan_networks": [],
        "_node_lan_units": [],
        "_node_secrets": ["b3iq-token-pepper", "b3iq-node-identity"],
        f"{role}_release": "1.0.0",
    }
    path = ROOT / f"roles/{role}/templates/etc/systemd/system/b3iq-{role}.{kind}.j2"
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701 - a unit file, as Ansible renders it
        trim_blocks=True,
    )
    return environment.from_string(path.read_text(encoding="utf-8")).render(defaults | given)


def settings(text: str) -> dict[str, list[str]]:
    """Values of each directive, in order."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if re.match(r"[A-Z]\w*=", line):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


def exposure(text: str, directory: Path, name: str) -> tuple[float, list[dict[str, Any]]]:
    """systemd's score of a unit file, and what counts against it."""
    path = directory / name
    path.write_text(text)
    command = ["systemd-analyze", "security", "--offline=yes", "--no-pager"]
    said = subprocess.run([*command, path], check=True, capture_output=True, text=True).stdout
    score = re.search(r"Overall exposure level for \S+: ([0-9.]+)", said)
    assert score is not None, said
    table = subprocess.run(
        [*command, "--json=short", path], check=True, capture_output=True, text=True
    ).stdout
    return float(score.group(1)), [row for row in json.loads(table) if not row["set"]]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd's own tool")
@pytest.mark.parametrize(("role", "accelerator"), UNITS)
def test_a_unit_is_no_more_exposed_than_the_documents_say(
    role: str, accelerator: str, tmp_path: Path
) -> None:
    name = f"b3iq-{role}.service"
    score, against = exposure(unit(role, accelerator), tmp_path, name)
    assert score <= UNITS[role, accelerator], against
    documented = (ROOT / "docs/hardening.md").read_text(encoding="utf-8")
    assert f"| `{name}` | {UNITS[role, accelerator]} |" in documented


def test_a_gpu_changes_nothing_but_the_devices() -> None:
    without, with_gpu = settings(unit("engine", "cpu")), settings(unit("engine", "cuda"))
    differing = {key for key in without | with_gpu if without.get(key) != with_gpu.get(key)}
    assert differing == {"PrivateDevices", "DeviceAllow", "Wants", "After"}
    assert with_gpu["DevicePolicy"] == ["closed"]
    assert all(value.startswith("char-nvidia") for value in with_gpu["DeviceAllow"])
    assert "DeviceAllow" not in without


@pytest.mark.parametrize("role", ["node", "engine"])
def test_a_service_can_open_no_connection_and_dump_no_memory(role: str) -> None:
    found = settings(unit(role, "cpu"))
    for key, value in {
        "PrivateNetwork": "yes",
        "RestrictAddressFamilies": "AF_UNIX",
        "LimitCORE": "0",
        "MemorySwapMax": "0",
        "UMask": "0077",
        "Restart": "always",
        "User": f"b3iq-{role}",
    }.items():
        assert found[key] == [value], key
    assert "EnvironmentFile" not in found
    assert "Environment" not in found


def test_the_engine_gets_no_credential_and_none_of_what_breaks_torch() -> None:
    found = settings(unit("engine", "cpu"))
    assert not [key for key in found if "Credential" in key]
    assert "ProcSubset" not in found
    assert "MemoryDenyWriteExecute" not in found
    assert not any("@resources" in value for value in found["SystemCallFilter"])


def test_the_node_gets_its_secrets_encrypted_and_only_so() -> None:
    found = settings(unit("node", "cpu"))
    assert sorted(found["LoadCredentialEncrypted"]) == [
        f"{name}:/etc/credstore.encrypted/{name}"
        for name in ("b3iq-node-identity", "b3iq-token-pepper")
    ]
    assert not {"LoadCredential", "SetCredential", "SetCredentialEncrypted"} & set(found)


@pytest.mark.parametrize(
    ("role", "listeners", "mode", "group"),
    [
        ("node", ["127.0.0.1:8831", "/run/b3iq/admin.sock"], "0600", "root"),
        ("engine", ["/run/b3iq/engine.sock"], "0660", "b3iq-node"),
    ],
)
def test_a_socket_is_open_to_exactly_whom_it_is_for(
    role: str, listeners: list[str], mode: str, group: str
) -> None:
    found = settings(unit(role, "cpu", "socket"))
    assert found["ListenStream"] == listeners
    assert found["SocketMode"] == [mode]
    assert found["SocketUser"] == ["root"]
    assert found["SocketGroup"] == [group]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd's own tool")
def test_the_updater_is_no_more_exposed_than_the_documents_say(tmp_path: Path) -> None:
    path = ROOT / "roles/updater/templates/etc/systemd/system/b3iq-update.service.j2"
    text = path.read_text(encoding="utf-8").replace("{{ ansible_managed }}", "Ansible managed")
    score, against = exposure(text, tmp_path, "b3iq-update.service")
    assert score <= 2.5, against
    documented = (ROOT / "docs/hardening.md").read_text(encoding="utf-8")
    assert "| `b3iq-update.service` | 2.5 |" in documented
    assert settings(text)["CapabilityBoundingSet"] == ["CAP_CHOWN CAP_DAC_OVERRIDE CAP_FOWNER"]

"""A playbook is a table of contents: every play a sentence, the roles do the work."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml

from b3iq.config import EngineConfig, NodeConfig, Settings, load
from b3iq.errors import ConfigError
from tests.contract.role_readme import ROLES, ROOT

PLAYBOOKS = sorted((ROOT / "playbooks").glob("*.yml"))
ENVIRONMENT = os.environ | {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}
# What the operator or an earlier role gives; the rest are the role's own defaults.
GIVEN = {"engine_accelerator": "cpu", "engine_manifest_sha256": "0" * 64}


def name(path: Path) -> str:
    return path.name


def plays(path: Path) -> list[dict[str, Any]]:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def used_roles(playbook: str, key: str = "name") -> list[str]:
    """Roles of a playbook in their order, whichever way they are named."""
    found = []
    for play in plays(ROOT / "playbooks" / playbook):
        found += [item["role"] for item in play.get("roles", [])]
        found += [
            task["ansible.builtin.import_role"][key]
            for task in play.get("tasks", [])
            if "ansible.builtin.import_role" in task
        ]
    return found


@pytest.mark.parametrize("path", PLAYBOOKS, ids=name)
def test_a_playbook_only_names_roles(path: Path) -> None:
    allowed = {"ansible.builtin.import_role", "ansible.builtin.meta"}
    for play in plays(path):
        assert set(play) <= {
            "name",
            "hosts",
            "become",
            "any_errors_fatal",
            "roles",
            "tasks",
            "ansible.builtin.import_playbook",
        }
        for task in play.get("tasks", []):
            assert set(task) - {"name"} <= allowed


def test_nothing_changes_before_settings_hosts_and_release_are_judged() -> None:
    first = plays(ROOT / "playbooks/install.yml")[0]
    work = [task["ansible.builtin.import_role"] for task in first["tasks"]]
    assert work == [{"name": "preflight"}, {"name": "updater", "tasks_from": "verify"}]
    assert first["any_errors_fatal"] is True
    for role, file in (("preflight", "preflight"), ("preflight", "judge"), ("updater", "verify")):
        for task in yaml.safe_load((ROOT / f"roles/{role}/tasks/{file}.yml").read_text()):
            reads = {"raw", "command"} & {key.rpartition(".")[2] for key in task}
            assert not reads or task["changed_when"] is False


def test_uninstall_undoes_every_role_that_install_runs_in_reverse() -> None:
    installed = [role for role in dict.fromkeys(used_roles("install.yml")) if role != "preflight"]
    order = ["base", "updater", "runtime", "engine", "node"]
    assert sorted(installed) == sorted(order)
    assert used_roles("uninstall.yml") == ["preflight", *order[::-1]]
    assert used_roles("uninstall.yml", "tasks_from") == ["settings", *["uninstall"] * len(order)]


def test_the_wiring_stays_short_enough_to_read() -> None:
    lines = (ROOT / "playbooks/group_vars/all.yml").read_text(encoding="utf-8").splitlines()
    assert len(lines) < 150


def test_preflight_judges_the_settings_of_every_role() -> None:
    wiring = yaml.safe_load((ROOT / "playbooks/group_vars/all.yml").read_text())
    assert sorted(wiring["preflight_roles"]) == [role.name for role in ROLES]


def test_the_example_inventory_sets_what_is_required() -> None:
    done = subprocess.run(
        [Path(sys.executable).parent / "ansible-inventory", "-i", "inventory.example", "--list"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
    )
    inventory = json.loads(done.stdout)
    (host,) = inventory["b3iq_nodes"]["hosts"]
    variables = inventory["_meta"]["hostvars"][host]
    wiring = yaml.safe_load((ROOT / "playbooks/group_vars/all.yml").read_text())
    required = [v["name"] for v in wiring["preflight_play_variables"] if v.get("required")]
    assert required
    assert all(variables.get(name) for name in required)


def settings_file(role: str, directory: Path, **changes: Any) -> Path:
    """The file that a role writes with its defaults and these changes."""
    defaults = yaml.safe_load((ROOT / f"roles/{role}/defaults/main.yml").read_text())
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)  # noqa: S701 - TOML, as Ansible renders it
    environment.filters["to_json"] = json.dumps
    template = (ROOT / f"roles/{role}/templates/etc/b3iq/{role}.toml.j2").read_text()
    values = defaults | GIVEN | changes | {"ansible_managed": "Ansible managed"}
    path = directory / f"{role}.toml"
    path.write_text(environment.from_string(template).render(values))
    return path


@pytest.mark.parametrize(("role", "schema"), [("engine", EngineConfig), ("node", NodeConfig)])
def test_the_defaults_of_a_role_make_the_default_settings(
    role: str, schema: type[Settings], tmp_path: Path
) -> None:
    read = load(schema, settings_file(role, tmp_path))
    assert read == schema.model_validate(
        {"manifest_sha256": GIVEN["engine_manifest_sha256"]} if role == "engine" else {}
    )


def test_a_quote_in_a_setting_cannot_become_another_setting(tmp_path: Path) -> None:
    evil = 'x"\nlisten_address = "0.0.0.0'
    path = settings_file("node", tmp_path, node_host_names=[evil])
    assert load(NodeConfig, path).host_names == [evil]
    with pytest.raises(ConfigError, match="runtime_kind"):
        load(NodeConfig, settings_file("node", tmp_path, node_runtime_kind=evil))


@pytest.mark.parametrize(("role", "setting"), [("engine", "batch_limit"), ("node", "stream_limit")])
def test_a_program_checks_a_settings_file_before_it_replaces_the_old_one(
    role: str, setting: str, tmp_path: Path
) -> None:
    """The role's template task runs exactly this as its `validate`."""
    task = yaml.safe_load((ROOT / f"roles/{role}/tasks/configure.yml").read_text())[-1]
    command = task["ansible.builtin.template"]["validate"]
    assert command.startswith(f"/opt/b3iq/current/bin/b3iq-{role} --config %s ")
    for value, status in ((1, 0), (0, 2)):
        path = settings_file(role, tmp_path, **{f"{role}_{setting}": value})
        arguments = [str(path) if word == "%s" else word for word in command.split()[1:]]
        done = subprocess.run(
            [sys.executable, "-m", f"b3iq.{role}", *arguments], capture_output=True, text=True
        )
        assert done.returncode == status, done.stderr
        assert (setting in done.stderr) is (status != 0)

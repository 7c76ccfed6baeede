"""What holds for every role, so that knowing one is knowing all.

Ansible itself does not notice a default that disagrees with its argument spec, nor a variable
that is misspelled in an inventory. These tests do.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from b3iq.config import EngineConfig, NodeConfig, Settings
from tests.contract.role_readme import ROLES, ROOT, readme, specs

STEPS = ["preflight", "install", "configure", "service"]
TYPES: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "path": (str,),
    "int": (int,),
    "float": (float,),
    "bool": (bool,),
    "list": (list,),
    "dict": (dict,),
}
TASK_FILES = sorted((ROOT / "roles").glob("*/tasks/*.yml")) + sorted(
    (ROOT / "roles").glob("*/handlers/*.yml")
)
# Where an operator's or a test's variables are written.
VARIABLE_FILES = [
    path
    for folder in ("inventory.example", "playbooks", "molecule", ".config/molecule")
    for path in sorted((ROOT / folder).rglob("*.yml"))
]
PREFIX = re.compile(r"^(b3iq|" + "|".join(role.name for role in ROLES) + r")_[a-z0-9_]+$")
# Of the playbooks, which no role's spec names.
PLAY = {
    item["name"]
    for item in yaml.safe_load((ROOT / "playbooks/group_vars/all.yml").read_text())[
        "preflight_play_variables"
    ]
}


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def options(role: Path) -> dict[str, Any]:
    return specs(role)["main"]["options"]


def defaults(role: Path) -> dict[str, Any]:
    file = role / "defaults/main.yml"
    return (yaml.safe_load(file.read_text(encoding="utf-8")) if file.exists() else None) or {}


def tasks(path: Path) -> list[dict[str, Any]]:
    found = []
    for task in yaml.safe_load(path.read_text(encoding="utf-8")):
        found += [inner for key in ("block", "rescue", "always") for inner in task.get(key, [])]
        found.append(task)
    return found


ALL_TASKS = [(path, task) for path in TASK_FILES for task in tasks(path)]
TASK_IDS = [f"{name(path)}: {task['name']}" for path, task in ALL_TASKS]


def modules(task: dict[str, Any]) -> list[str]:
    return [key for key in task if key.startswith("ansible.")]


def keys(value: Any) -> set[str]:
    """Every mapping key anywhere in a document."""
    if isinstance(value, dict):
        return {str(key) for key in value}.union(*(keys(item) for item in value.values()))
    if isinstance(value, list):
        return set().union(*(keys(item) for item in value))
    return set()


@pytest.mark.parametrize("role", ROLES, ids=name)
def test_defaults_are_exactly_what_the_spec_says(role: Path) -> None:
    documented = {n: o["default"] for n, o in options(role).items() if not o.get("required")}
    assert defaults(role) == documented


@pytest.mark.parametrize("role", ROLES, ids=name)
def test_a_default_has_the_type_that_the_spec_says(role: Path) -> None:
    for variable, value in defaults(role).items():
        assert type(value) in TYPES[options(role)[variable]["type"]], variable
        assert value in options(role)[variable].get("choices", [value]), variable


@pytest.mark.parametrize("role", ROLES, ids=name)
def test_the_variables_of_a_role_carry_its_name(role: Path) -> None:
    for entry in specs(role).values():
        assert all(option.startswith(f"{role.name}_") for option in entry["options"])
    internal = role / "vars/main.yml"
    if internal.exists():
        found = yaml.safe_load(internal.read_text(encoding="utf-8"))
        assert all(variable.startswith(f"_{role.name}_") for variable in found)


@pytest.mark.parametrize("role", ROLES, ids=name)
def test_every_variable_of_a_role_is_used_by_it(role: Path) -> None:
    text = "".join(
        path.read_text(encoding="utf-8")
        for folder in ("tasks", "templates", "vars", "handlers")
        for path in (role / folder).rglob("*")
        if path.is_file()
    )
    for variable in options(role):
        assert re.search(rf"\b{variable}\b", text), variable


@pytest.mark.parametrize("path", VARIABLE_FILES, ids=name)
def test_every_variable_that_is_set_anywhere_exists(path: Path) -> None:
    known = PLAY.union(*(options(role) for role in ROLES))
    set_here = {key for key in keys(yaml.safe_load(path.read_text())) if PREFIX.match(key)}
    groups = {"b3iq_nodes"}
    assert set_here - known - groups == set()


@pytest.mark.parametrize("path", TASK_FILES, ids=name)
def test_a_role_uses_no_variable_of_another(path: Path) -> None:
    own = path.parents[1].name
    others = "|".join(role.name for role in ROLES if role.name != own)
    foreign = set().union(*(options(role) for role in ROLES if role.name != own))
    used = set(re.findall(rf"\b_{{0,2}}(?:{others})_[a-z0-9_]+\b", path.read_text()))
    assert {item for item in used if item in foreign or item.startswith("_")} == set()


@pytest.mark.parametrize("role", ROLES, ids=name)
def test_the_index_of_a_role_is_its_steps_in_order(role: Path) -> None:
    index = yaml.safe_load((role / "tasks/main.yml").read_text(encoding="utf-8"))
    files = [task["ansible.builtin.import_tasks"] for task in index]
    assert all(set(task) == {"name", "ansible.builtin.import_tasks"} for task in index)
    assert files == [f"{step}.yml" for step in STEPS if f"{step}.yml" in files]


@pytest.mark.parametrize("role", ROLES, ids=name)
def test_the_readme_of_a_role_is_generated_from_its_spec(role: Path) -> None:
    """If this fails: .venv/bin/python -m tests.contract.role_readme"""
    assert (role / "README.md").read_text(encoding="utf-8") == readme(role)


@pytest.mark.parametrize(("path", "task"), ALL_TASKS, ids=TASK_IDS)
def test_a_task_hides_no_failure(path: Path, task: dict[str, Any]) -> None:
    assert "ignore_errors" not in task
    assert "ignore_unreachable" not in task


@pytest.mark.parametrize(("path", "task"), ALL_TASKS, ids=TASK_IDS)
def test_a_task_uses_ansible_builtin_and_no_shell(path: Path, task: dict[str, Any]) -> None:
    """Shell is never needed; raw is for preflight alone, which must run where Python is missing."""
    used = modules(task)
    assert "block" in task or len(used) == 1
    assert all(module.startswith("ansible.builtin.") for module in used)
    assert "ansible.builtin.shell" not in used
    assert "ansible.builtin.raw" not in used or path.parents[1].name == "preflight"


@pytest.mark.parametrize(("path", "task"), ALL_TASKS, ids=TASK_IDS)
def test_a_task_that_may_meet_a_secret_is_not_logged(path: Path, task: dict[str, Any]) -> None:
    """Loops ignore a module's own no_log and --diff can print a file: no_log on the task holds."""
    work = yaml.safe_dump(
        {module: task[module] for module in modules(task)} | {"loop": task.get("loop")}
    )
    if "ansible.builtin.debug" not in task and re.search("credential|setup-url|keys", work):
        assert task.get("no_log") is True


@pytest.mark.parametrize(("path", "task"), ALL_TASKS, ids=TASK_IDS)
def test_a_command_says_when_it_changes_something(path: Path, task: dict[str, Any]) -> None:
    if {"ansible.builtin.command", "ansible.builtin.raw"} & set(modules(task)):
        assert "changed_when" in task


@pytest.mark.parametrize("role", ROLES, ids=name)
def test_every_notice_has_a_handler_in_the_same_role(role: Path) -> None:
    file = role / "handlers/main.yml"
    handlers = {handler["name"] for handler in tasks(file)} if file.exists() else set()
    notified = {
        task["notify"] for path, task in ALL_TASKS if path.parents[1] == role and "notify" in task
    }
    assert notified == handlers


@pytest.mark.parametrize("path", sorted((ROOT / "roles").glob("*/templates/**/*.j2")), ids=name)
def test_a_template_holds_no_business_logic(path: Path) -> None:
    """Loops and plain values only; what must be decided is decided in vars/, under a name."""
    text = path.read_text(encoding="utf-8")
    assert re.findall(r"{%-?\s*(?!for |endfor)(\w+)", text) == []
    for expression in re.findall(r"{{(.*?)}}", text):
        assert re.fullmatch(r" [a-z0-9_.]+( \| (to_json|int|float))? ", expression), expression


@pytest.mark.parametrize("path", sorted((ROOT / "roles").glob("*/templates/**/*.j2")), ids=name)
def test_templates_mirror_the_target_file_system(path: Path) -> None:
    role = path.relative_to(ROOT / "roles").parts[0]
    target = "/" + str(path.relative_to(ROOT / "roles" / role / "templates")).removesuffix(".j2")
    text = "".join(
        file.read_text(encoding="utf-8")
        for folder in ("tasks", "vars")
        for file in (ROOT / "roles" / role / folder).glob("*.yml")
    )
    assert target in text


@pytest.mark.parametrize(
    ("role", "schema", "elsewhere"),
    [
        # `device` follows from the accelerator, `manifest_sha256` from the signed release.
        ("engine", EngineConfig, {"device", "manifest_sha256"}),
        ("node", NodeConfig, set()),
    ],
)
def test_a_role_offers_every_setting_of_its_program_with_the_same_default(
    role: str, schema: type[Settings], elsewhere: set[str]
) -> None:
    own = defaults(ROOT / "roles" / role)
    for field, info in schema.model_fields.items():
        if field not in elsewhere:
            assert own[f"{role}_{field}"] == info.get_default(), field


@pytest.mark.parametrize(("role", "schema"), [("engine", EngineConfig), ("node", NodeConfig)])
def test_the_settings_file_has_every_setting_and_no_other(
    role: str, schema: type[Settings]
) -> None:
    template = ROOT / f"roles/{role}/templates/etc/b3iq/{role}.toml.j2"
    written = re.findall(r"^(\w+) = ", template.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(written) == sorted(schema.model_fields)


@pytest.mark.parametrize(("path", "task"), ALL_TASKS, ids=TASK_IDS)
def test_root_follows_no_link_into_a_tree_that_a_service_wrote(
    path: Path, task: dict[str, Any]
) -> None:
    """A link in its state would have root give the service what it points to, or take it away."""
    arguments = task.get("ansible.builtin.file", {})
    assert not arguments.get("recurse") or arguments.get("follow") is False

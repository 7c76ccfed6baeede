"""The host under test and its inventory, named by B3IQ_HOST and B3IQ_HOST_INVENTORY."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.lab import host as hosts
from tests.lab.host import ROOT, Host

Playbook = Callable[..., subprocess.CompletedProcess[str]]
Settings = dict[str, object]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.host)


@pytest.fixture(scope="session")
def host() -> Host:
    """Without B3IQ_HOST these tests fail: there is nothing to say about no host."""
    return hosts.get(os.environ["B3IQ_HOST"])


@pytest.fixture(scope="session")
def inventory() -> Path:
    return ROOT / os.environ["B3IQ_HOST_INVENTORY"]


@pytest.fixture(scope="session")
def settings(inventory: Path) -> Settings:
    """What the operator set for the hosts."""
    loaded: Settings = yaml.safe_load((inventory / "group_vars/b3iq_nodes.yml").read_text())
    return loaded


@pytest.fixture(scope="session")
def playbook(
    inventory: Path, settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Playbook:
    """Run a playbook as an operator does; keyword arguments change the settings, None unsets."""
    directory = tmp_path_factory.mktemp("inventory")

    def run(name: str, *arguments: str, **changes: object) -> subprocess.CompletedProcess[str]:
        changed = {k: v for k, v in {**settings, **changes}.items() if v is not None}
        (directory / "group_vars").mkdir(exist_ok=True)
        (directory / "hosts.yml").write_text((inventory / "hosts.yml").read_text())
        (directory / "group_vars/b3iq_nodes.yml").write_text(yaml.safe_dump(changed))
        command = [sys.executable, "-m", "ansible", "playbook", "-i", str(directory)]
        return subprocess.run(
            [*command, *arguments, f"playbooks/{name}.yml"],
            cwd=ROOT,
            # Under Molecule, colours are asked for: they would split what is looked for.
            env={
                **os.environ,
                "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
                "ANSIBLE_FORCE_COLOR": "0",
            },
            check=False,
            capture_output=True,
            text=True,
        )

    return run

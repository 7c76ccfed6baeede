"""An installed node: what runs on it, and the verbs that its operator and its timer use."""

from __future__ import annotations

import json
from typing import Any

from b3iq.updater.main import main
from tests.attacks.conftest import Machine
from tests.attacks.parts import Release, model, node_layer, updater_layer
from tests.attacks.simulator import Simulator

GOLDEN: list[dict[str, Any]] = [
    {
        "name": "greeting",
        "model": "b3iq-tiny",
        "messages": [{"role": "user", "content": "hi"}],
        "max_tokens": 4,
        "expect": "well",
    }
]


def offer(simulator: Simulator, version: str, sequence: int, says: str, answer: str) -> None:
    """Publish a release whose engine says a word; the golden answer is `well`."""
    simulator.offer(
        Release(
            version,
            sequence,
            node=node_layer(says.encode()),
            updater=updater_layer(),
            tiny=model(answer=answer),
            edit=lambda manifest: manifest["health"].update(golden=GOLDEN),
        )
    )
    simulator.publish()


class Node:
    """An installed machine with settings, used by the verbs of `b3iq update`."""

    def __init__(self, machine: Machine, served: Simulator, **settings: Any) -> None:
        self.machine = machine
        etc = machine.root / "etc/b3iq"
        etc.mkdir(parents=True, exist_ok=True)
        (etc / "trusted-root.json").write_bytes(served.trusted_root)
        repository = str(served.write(machine.work / "served"))
        wanted = {"repository": repository, "model_group": "root"} | settings
        lines = [f"{name} = {json.dumps(value)}" for name, value in wanted.items()]
        (etc / "update.toml").write_text("\n".join(lines) + "\n")

    def run(self, *arguments: str) -> tuple[int, Any]:
        status = main([*arguments, "--root-directory", str(self.machine.root), "--json"])
        printed = self.machine.capsys.readouterr()
        assert "Traceback" not in printed.err
        return status, json.loads(printed.out)

    def say(self, verb: str) -> int:
        """A verb without --json, as the unit calls it."""
        status = main([verb, "--root-directory", str(self.machine.root)])
        self.machine.capsys.readouterr()
        return status

    def told(self) -> dict[str, Any]:
        file = self.machine.root / "var/lib/b3iq/update-status.json"
        return json.loads(file.read_text())

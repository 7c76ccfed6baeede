"""A trial that dies anywhere, and a recovery that dies anywhere: one whole release serves.

As in `test_interruption`, a kill and not a power cut: what was written is there.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from b3iq.models import integrity
from b3iq.updater import journal, status
from b3iq.updater.manifest import ReleaseManifest
from tests.attacks import dying
from tests.attacks.conftest import Machine
from tests.attacks.node import offer
from tests.attacks.simulator import Simulator

# What a trial changes; the sockets of the services stay where they are.
_CHANGED = ("opt", "var", "etc")


class Trial:
    """A machine on 1.0.0, brought back to that before each attempt at 1.1.0."""

    def __init__(self, machine: Machine, simulator: Simulator) -> None:
        self.machine, self.root = machine, machine.root
        self.former = self.root.with_name("former")
        pinned = machine.work / "pinned.json"
        pinned.write_bytes(simulator.trusted_root)
        repository = simulator.write(machine.work / "update")
        self.arguments = [
            "install", "--trial", "--repository", str(repository), "--trusted-root", str(pinned),
            "--accelerator", "cpu",
        ]  # fmt: skip
        self.keep(self.former)

    def keep(self, place: Path) -> None:
        for part in _CHANGED:
            shutil.copytree(self.root / part, place / part, symlinks=True)

    def reset(self, place: Path) -> None:
        for part in _CHANGED:
            shutil.rmtree(self.root / part)
            shutil.copytree(place / part, self.root / part, symlinks=True)

    def run(self, *arguments: str, die_at: int = 0) -> tuple[int, int]:
        return dying.run(self.root, list(arguments or self.arguments), die_at)

    def check_whole(self) -> str:
        """`current` leads to a complete release whenever the machine is looked at (I1)."""
        version = self.machine.version()
        assert version in {"1.0.0", "1.1.0"}
        assert (self.root / "opt/b3iq/current/runtime/lib/torch.py").is_file()
        return version

    def check_settled(self) -> str:
        """No update is under way, and the model is the one of the release that runs."""
        version = self.check_whole()
        paths = status.rooted(self.root)
        state = journal.read(paths)
        assert (state.phase, state.current and state.current.version) == ("idle", version)
        raw = (paths.current / status.RELEASE_MANIFEST).read_bytes()
        for model in ReleaseManifest.model_validate_json(raw).models:
            integrity.verify(paths.models / model.name, model.manifest_sha256)
        return version


@pytest.fixture
def trial(running: Machine, simulator: Simulator) -> Trial:
    offer(simulator, "1.1.0", 2, "well", "good day")
    return Trial(running, simulator)


def test_a_trial_killed_before_any_change_is_finished_by_recover_or_by_the_next_run(
    trial: Trial,
) -> None:
    done, changes = trial.run()
    assert (done, changes > 40, trial.check_settled()) == (0, True, "1.1.0")
    ended = set()
    for die_at in range(1, changes + 1):
        trial.reset(trial.former)
        assert trial.run(die_at=die_at)[0] == dying.KILLED
        trial.check_whole()
        assert trial.run("recover")[0] == 0, die_at
        ended.add(trial.check_settled())
        assert trial.run()[0] == 0, die_at
        assert trial.check_settled() == "1.1.0"
    assert ended == {"1.0.0", "1.1.0"}


def test_a_recovery_killed_before_any_change_is_finished_by_the_next(
    trial: Trial, tmp_path: Path
) -> None:
    interrupted = tmp_path / "interrupted"
    died = 0
    while True:
        died += 1
        trial.reset(trial.former)
        assert trial.run(die_at=died)[0] == dying.KILLED
        if journal.read(status.rooted(trial.root)).phase == "trial":
            break
    trial.keep(interrupted)
    done, changes = trial.run("recover")
    assert (done, changes > 3) == (0, True)
    for die_at in range(1, changes + 1):
        trial.reset(interrupted)
        assert trial.run("recover", die_at=die_at)[0] == dying.KILLED
        trial.check_whole()
        assert trial.run("recover")[0] == 0, die_at
        # A trial that died twice has no try left, and is left.
        trial.check_settled()
        again = trial.run("recover")
        assert again[0] == 0
        trial.check_settled()

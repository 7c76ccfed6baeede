"""A run that dies anywhere, or a disk that fails: the running release stays whole.

The process is ended without warning before each of its changes to the machine, one after
another. This shows what a kill leaves behind; a power cut may lose more, which fsync in
`fsops` is there for and which no test on a live file system shows.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from b3iq.updater import fsops
from tests.attacks import dying
from tests.attacks.conftest import Machine
from tests.attacks.parts import Release, model, updater_layer
from tests.attacks.simulator import Simulator


@pytest.fixture
def update(installed: Machine, simulator: Simulator) -> tuple[Machine, Path, Path]:
    """A machine on 1.0.0, a repository with 1.1.0 (new node and model), its pinned root."""
    simulator.offer(Release("1.1.0", 2, tiny=model(answer="good day")))
    simulator.publish()
    pinned = installed.work / "pinned.json"
    pinned.write_bytes(simulator.trusted_root)
    return installed, simulator.write(installed.work / "update"), pinned


def _run(root: Path, repository: Path, pinned: Path, die_at: int) -> tuple[int, int]:
    arguments = ["--repository", str(repository), "--trusted-root", str(pinned)]
    return dying.run(root, ["install", *arguments, "--accelerator", "cpu"], die_at)


def test_a_kill_before_any_change_leaves_a_whole_release_and_a_rerun_finishes(
    update: tuple[Machine, Path, Path],
) -> None:
    machine, repository, pinned = update
    former = machine.root.with_name("former")
    machine.root.rename(former)
    wholes = {"1.0.0": _release_tree(machine, former)}
    shutil.copytree(former, machine.root, symlinks=True)
    status, changes = _run(machine.root, repository, pinned, die_at=0)
    assert (status, changes > 30) == (0, True)
    final = machine.tree()
    wholes["1.1.0"] = _release_tree(machine, machine.root)

    for die_at in range(1, changes + 1):
        shutil.rmtree(machine.root)
        shutil.copytree(former, machine.root, symlinks=True)
        assert _run(machine.root, repository, pinned, die_at)[0] == dying.KILLED
        version = machine.version()
        assert version is not None
        assert _release_tree(machine, machine.root) == wholes[version]
        assert _run(machine.root, repository, pinned, die_at=0)[0] == 0
        assert machine.tree() == final
        left = {path.name for path in machine.floors.parent.iterdir()}
        assert left == {"floors.json", "lock", "state.json"}


def _release_tree(machine: Machine, root: Path) -> dict[str, str]:
    """The release behind `current`, and the runtime behind that."""
    looked = Machine(root, machine.work, machine.capsys, None)
    version = looked.version()
    assert (root / "opt/b3iq/current/runtime/lib/torch.py").is_file()
    return {
        path: what
        for path, what in looked.tree().items()
        if path.startswith((f"opt/b3iq/releases/{version}", "opt/b3iq/layers/runtime"))
    }


def _fail_at(number: int, fault: int) -> Callable[[int], None]:
    real, calls = os.fsync, 0

    def fsync(descriptor: int) -> None:
        nonlocal calls
        calls += 1
        if calls == number:
            raise OSError(fault, os.strerror(fault))
        real(descriptor)

    return fsync


@pytest.mark.parametrize("number", range(1, 12))
@pytest.mark.parametrize(
    ("fault", "code"), [(errno.EIO, "disk_failed"), (errno.ENOSPC, "no_space")]
)
def test_a_failed_flush_is_refused_and_never_retried(
    update: tuple[Machine, Path, Path],
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    fault: int,
    code: str,
) -> None:
    machine, repository, pinned = update
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", _fail_at(number, fault))
        status, answer = machine.install(repository, pinned.read_bytes())
    assert (status, answer["refused"]["code"]) == (1, code)
    assert machine.version() == "1.0.0"
    assert machine.install(repository, pinned.read_bytes())[0] == 0
    assert machine.version() == "1.1.0"


def test_too_little_space_is_refused_before_a_byte_is_written(
    machine: Machine, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=1 << 20))
    assert machine.refused(simulator, simulator.trusted_root) == "no_space"


def test_a_temporary_directory_that_takes_no_file_is_named(
    installed: Machine, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(installed.work / "gone"))
    assert installed.refused(simulator, simulator.trusted_root) == "disk_failed"


def test_a_second_updater_is_refused(installed: Machine, simulator: Simulator) -> None:
    with fsops.exclusive(installed.floors.with_name("lock")):
        assert installed.refused(simulator, simulator.trusted_root) == "busy"


def test_a_second_run_changes_nothing(installed: Machine, simulator: Simulator) -> None:
    before = installed.tree()
    status, answer = installed.install(simulator, simulator.trusted_root)
    assert (status, answer["changed"], answer["steps"]) == (0, False, [])
    assert installed.tree() == before


def test_check_says_what_would_change_and_changes_nothing(
    machine: Machine, simulator: Simulator
) -> None:
    before = sorted(machine.root.rglob("*"))
    status, answer = machine.install(simulator, simulator.trusted_root, "--check")
    assert (status, answer["changed"]) == (0, True)
    assert answer["steps"][-1] == "switch current to releases/1.0.0"
    assert sorted(machine.root.rglob("*")) == before


def test_damaged_pieces_are_placed_again(installed: Machine, simulator: Simulator) -> None:
    good = installed.tree()
    weights = installed.root / "var/lib/b3iq/models/b3iq-tiny/model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"X")
    [mark] = (installed.root / "opt/b3iq/layers").glob("runtime-cpu-*/layer.json")
    mark.unlink()
    status, answer = installed.install(simulator, simulator.trusted_root)
    assert (status, answer["changed"], len(answer["steps"])) == (0, True, 2)
    assert installed.tree() == good


def test_an_updater_layer_that_someone_unpacked_is_replaced_by_the_verified_one(
    machine: Machine, simulator: Simulator
) -> None:
    release = Release(updater=updater_layer())
    path = machine.root / "opt/b3iq" / release.manifest["layers"][2]["install_path"]
    (path / "bin").mkdir(parents=True)
    (path / "bin/b3iq-updater").write_text("#!/bin/sh\necho something else\n")
    assert machine.install(simulator, simulator.trusted_root)[0] == 0
    assert (path / "bin/b3iq-updater").read_bytes() == b"#!/bin/sh\n"

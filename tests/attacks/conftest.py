"""A machine that installs from what an adversary serves, and a look at what it has."""

from __future__ import annotations

import hashlib
import json
import stat
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from b3iq.updater.main import main
from tests.attacks.parts import Release
from tests.attacks.running import running
from tests.attacks.simulator import Simulator

__all__ = ["running"]


@dataclass
class Machine:
    """A host below a temporary directory; every verb goes through the real command line."""

    root: Path
    work: Path
    capsys: pytest.CaptureFixture[str]
    _numbers: Any

    def install(
        self, served: Simulator | Path | str, trusted_root: bytes, *options: str
    ) -> tuple[int, dict[str, Any]]:
        """Run `install --json`; returns the exit status and the answer."""
        return self.run(
            "install", served, trusted_root, "--accelerator", "cpu",
            "--root-directory", str(self.root), *options,
        )  # fmt: skip

    def run(
        self, verb: str, served: Simulator | Path | str, trusted_root: bytes, *options: str
    ) -> tuple[int, dict[str, Any]]:
        """Run a verb against what is served right now."""
        number = next(self._numbers)
        if isinstance(served, Simulator):
            served = served.write(self.work / f"repository-{number}")
        pinned = self.work / f"root-{number}.json"
        pinned.write_bytes(trusted_root)
        arguments = ["--repository", str(served), "--trusted-root", str(pinned), "--json", *options]
        status = main([verb, *arguments])
        printed = self.capsys.readouterr()
        assert "Traceback" not in printed.err
        return status, json.loads(printed.out)

    def refused(self, served: Simulator | Path | str, trusted_root: bytes, *options: str) -> str:
        """Install, expect a refusal that leaves the machine as it was; returns its code."""
        before = self.tree()
        status, answer = self.install(served, trusted_root, *options)
        assert status == 1
        assert answer["changed"] is False
        assert answer["refused"]["detail"]
        assert self.tree() == before
        code = str(answer["refused"]["code"])
        # What a source broke off is kept for the next run; what was refused is not.
        if code != "repository_unreachable":
            assert not list((self.root / "var/lib/b3iq/updater").glob("staging/*"))
        return code

    def tree(self) -> dict[str, str]:
        """Everything below /opt/b3iq and the models: mode, and content or link target."""
        found = {}
        for base in (self.root / "opt/b3iq", self.root / "var/lib/b3iq/models"):
            for path in sorted(base.rglob("*")):
                found[str(path.relative_to(self.root))] = _describe(path)
        return found

    @property
    def floors(self) -> Path:
        """The rollback floors."""
        return self.root / "var/lib/b3iq/updater/floors.json"

    def version(self) -> str | None:
        """The version that `current` leads to."""
        link = self.root / "opt/b3iq/current"
        return link.readlink().name if link.is_symlink() else None


def _describe(path: Path) -> str:
    status = path.lstat()
    mode = stat.filemode(status.st_mode)
    if path.is_symlink():
        return f"{mode} {path.readlink()}"
    return f"{mode} {hashlib.sha256(path.read_bytes()).hexdigest()}" if path.is_file() else mode


@pytest.fixture
def machine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Machine:
    """A machine with nothing installed but the directories that the base role makes."""
    (tmp_path / "work").mkdir()
    for name in ("opt/b3iq/layers", "opt/b3iq/releases", "var/lib/b3iq/models"):
        (tmp_path / "host" / name).mkdir(parents=True)
    return Machine(tmp_path / "host", tmp_path / "work", capsys, count(1))


@pytest.fixture
def simulator() -> Simulator:
    """A repository that offers release 1.0.0, well signed."""
    adversary = Simulator()
    adversary.offer(Release())
    adversary.publish()
    return adversary


@pytest.fixture
def installed(machine: Machine, simulator: Simulator) -> Machine:
    """The machine after a good installation of release 1.0.0."""
    assert machine.install(simulator, simulator.trusted_root)[0] == 0
    return machine


Attack = Callable[[Simulator], None]

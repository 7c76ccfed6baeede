"""Layers as a host will use them: built, unpacked elsewhere, and run from there."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from b3iq.updater.manifest import Archive
from b3iq.updater.progress import Progress
from b3iq.updater.unpack import Modes, unpack
from release import launchers, layers, source
from release.archive import BuildFailed

CHECKOUT = Path(__file__).resolve().parents[3]


def test_a_launcher_runs_what_lies_beside_it_and_ignores_the_environment(tmp_path: Path) -> None:
    for part, text in (("app", "ours"), ("lib", "hidden")):
        (tmp_path / f"tree/{part}/thing").mkdir(parents=True)
        (tmp_path / f"tree/{part}/thing/__init__.py").touch()
        code = (
            f"import os, sys\ndef main():\n print({text!r}, oct(os.umask(0)), sys.flags.isolated)"
        )
        (tmp_path / f"tree/{part}/thing/main.py").write_text(code)
    commands = (launchers.Launcher("thing", "thing.main", ("app", "lib")),)
    launchers.write(tmp_path / "tree/bin", commands)
    (tmp_path / "elsewhere/thing").mkdir(parents=True)
    (tmp_path / "elsewhere/thing/__init__.py").touch()
    (tmp_path / "elsewhere/thing/main.py").write_text("def main(): print('not ours')")
    (tmp_path / "link").symlink_to(tmp_path / "tree/bin/thing")
    printed = subprocess.run(
        [tmp_path / "link"],
        check=True,
        capture_output=True,
        text=True,
        cwd=tmp_path / "elsewhere",
        env={"PYTHONPATH": str(tmp_path / "elsewhere")},
    ).stdout
    assert printed == "ours 0o77 1\n"
    assert not list(tmp_path.rglob("__pycache__"))


@pytest.mark.timeout(600)  # a cold cache downloads and compiles the updater's packages
def test_the_updater_layer_runs_from_where_it_is_unpacked(tmp_path: Path) -> None:
    package = source.read(CHECKOUT)
    packed = layers.build("updater", CHECKOUT, package, Progress())
    described = Archive(
        target="releases/layers/updater.tar.gz",
        sha256=packed.sha256,
        length=packed.length,
        unpacked_bytes=packed.unpacked_bytes,
        entries=packed.entries,
    )
    tree = tmp_path / "tree"
    tree.mkdir()
    unpack(packed.path, described, tree, Modes(), lambda _amount: None)
    before = {path: path.stat().st_mtime_ns for path in tree.rglob("*")}
    done = subprocess.run(
        [tree / "bin/b3iq-updater", "status", "--json", "--root-directory", tmp_path / "host"],
        check=True,
        capture_output=True,
        text=True,
        env={},
    )
    assert json.loads(done.stdout)["installed"] is False
    assert {path: path.stat().st_mtime_ns for path in tree.rglob("*")} == before
    sources = {p.relative_to(tree / "app/b3iq").parts[0] for p in tree.glob("app/b3iq/**/*.py")}
    assert not sources & {"node", "engine", "credentials", "receipts", "store", "cli"}


def test_a_layer_comes_from_the_cache_and_is_built_again_to_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole build, with a lock of one package."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    checkout = tmp_path / "checkout"
    (checkout / "app/locks").mkdir(parents=True)
    _copy_pin("setuptools", "runtime-cpu.txt", checkout)
    _copy_pin("markdown-it-py", "node.txt", checkout)  # brings a script that names its directory
    package = source.Source("0" * 40, False, {"b3iq/__init__.py": b"x = 1\n"})
    first = layers.build("node", checkout, package, Progress())
    changed = first.path.stat().st_mtime_ns
    again = layers.build("node", checkout, package, Progress())
    assert (again, again.path.stat().st_mtime_ns) == (first, changed)
    other = source.Source("0" * 40, False, {"b3iq/__init__.py": b"x = 2\n"})
    assert layers.build("node", checkout, other, Progress()).sha256 != first.sha256
    first.path.write_bytes(b"damaged")
    for library in layers.cache_directory().glob("lib-*"):
        shutil.rmtree(library)
    assert layers.build("node", checkout, package, Progress()).sha256 == first.sha256


def _copy_pin(package: str, lock: str, checkout: Path) -> None:
    lines = (CHECKOUT / "app/locks" / lock).read_text().splitlines(keepends=True)
    start = next(i for i, line in enumerate(lines) if line.startswith(f"{package}=="))
    end = next(i for i in range(start, len(lines)) if not lines[i].endswith("\\\n"))
    (checkout / "app/locks" / lock).write_text("".join(lines[start : end + 1]))


def test_source_that_is_no_checkout_stops_the_build(tmp_path: Path) -> None:
    with pytest.raises(BuildFailed, match="git"):
        source.read(tmp_path)


def test_source_says_whether_it_was_committed(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        subprocess.run(
            ["git", *identity, *arguments], check=True, cwd=tmp_path, capture_output=True
        )

    git("init", "-q")
    (tmp_path / "app/b3iq/__pycache__").mkdir(parents=True)
    (tmp_path / "app/b3iq/__pycache__/a.pyc").write_bytes(b"")
    (tmp_path / ".gitignore").write_text("__pycache__/\n")
    (tmp_path / "app/b3iq/a.py").write_text("a = 1\n")
    git("add", ".")
    git("commit", "-qm", "first")
    clean = source.read(tmp_path)
    assert (clean.dirty, list(clean.files)) == (False, ["b3iq/a.py"])
    (tmp_path / "app/b3iq/b.py").write_text("b = 2\n")
    dirty = source.read(tmp_path)
    assert (dirty.dirty, dirty.commit) == (True, clean.commit)
    assert sorted(dirty.files) == ["b3iq/a.py", "b3iq/b.py"]
    assert dirty.sha256 != clean.sha256

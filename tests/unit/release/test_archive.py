"""Reproducible archives."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from b3iq.updater.manifest import Archive
from b3iq.updater.unpack import Modes, unpack
from release.archive import BuildFailed, Packed, pack


def _tree(place: Path, *, order: int = 1, mtime: int = 0) -> Path:
    files = {"bin/run": b"#!/bin/sh\n", "lib/a.py": b"a = 1\n", "lib/a/b.py": b"b = 2\n", "z": b""}
    for name in list(files)[::order]:
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(files[name])
        os.utime(path, (mtime, mtime))
    (place / "bin/run").chmod(0o700)
    return place


def _pack(tree: Path, output: Path) -> Packed:
    return pack(tree, output, lambda _amount: None)


@pytest.mark.parametrize("suffix", [".tar.zst", ".tar.gz"])
def test_the_same_tree_gives_the_same_bytes(tmp_path: Path, suffix: str) -> None:
    one = _pack(_tree(tmp_path / "one"), tmp_path / f"1{suffix}")
    two = _pack(_tree(tmp_path / "two", order=-1, mtime=10**9), tmp_path / f"2{suffix}")
    assert one.path.read_bytes() == two.path.read_bytes()
    assert one.sha256 == two.sha256


@pytest.mark.parametrize("suffix", [".tar.zst", ".tar.gz"])
def test_what_is_packed_is_what_the_updater_unpacks(tmp_path: Path, suffix: str) -> None:
    tree = _tree(tmp_path / "tree")
    packed = _pack(tree, tmp_path / f"layer{suffix}")
    described = Archive(
        target=f"releases/layers/layer{suffix}",
        sha256=packed.sha256,
        length=packed.length,
        unpacked_bytes=packed.unpacked_bytes,
        entries=packed.entries,
    )
    out = tmp_path / "out"
    out.mkdir()
    unpack(packed.path, described, out, Modes(), lambda _amount: None)
    names = {path.relative_to(tree) for path in tree.rglob("*")}
    assert {path.relative_to(out) for path in out.rglob("*")} == names
    assert (out / "bin/run").stat().st_mode & 0o777 == 0o755
    assert (out / "lib/a/b.py").read_bytes() == b"b = 2\n"


def test_a_link_in_a_tree_stops_the_build(tmp_path: Path) -> None:
    tree = _tree(tmp_path / "tree")
    (tree / "link").symlink_to("z")
    with pytest.raises(BuildFailed, match="link"):
        _pack(tree, tmp_path / "layer.tar.zst")

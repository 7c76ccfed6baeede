"""Unpacking signed but broken archives: a tree exactly as described, or a refusal."""

from __future__ import annotations

import hashlib
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from b3iq.updater.manifest import Archive
from b3iq.updater.refusals import Refused, TargetTampered
from b3iq.updater.unpack import Modes, unpack
from tests.attacks.parts import Packed, node_layer, tar, updater_layer


def _archive(packed: Packed, content: bytes) -> Archive:
    described = packed.describe(f"releases/layers/x{packed.suffix}")
    digest = hashlib.sha256(content).hexdigest()
    return Archive(**described | {"sha256": digest, "length": len(content)})


def _unpack(content: bytes, archive: Archive, place: Path) -> Path:
    staged, tree = place / "staged", place / "tree"
    staged.write_bytes(content)
    tree.mkdir()
    unpack(staged, archive, tree, Modes(), lambda _amount: None)
    return tree


@pytest.mark.parametrize("packed", [node_layer(), updater_layer()], ids=["zstd", "gzip"])
def test_a_good_archive_unpacks_to_what_was_packed(packed: Packed, tmp_path: Path) -> None:
    tree = _unpack(packed.content, _archive(packed, packed.content), tmp_path)
    for member, content in packed.members:
        path = tree / member.name
        if member.isdir():
            assert path.is_dir()
            assert path.stat().st_mode & 0o777 == 0o755
        else:
            assert path.read_bytes() == content


def test_an_archive_that_changed_after_staging_is_refused(tmp_path: Path) -> None:
    packed = node_layer()
    archive = _archive(packed, packed.content)
    other = packed.content + b"\x50\x2a\x4d\x18\x00\x00\x00\x00"  # an empty skippable frame
    with pytest.raises(TargetTampered):
        _unpack(other, archive, tmp_path)


@pytest.mark.parametrize("packed", [node_layer(), updater_layer()], ids=["zstd", "gzip"])
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_broken_bytes_are_refused_by_name_or_unpack_to_the_same_names(
    packed: Packed, data: st.DataObject
) -> None:
    """Signed garbage: the digest is right, the content is not. No other error may escape."""
    content = bytearray(packed.content)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    broken = bytes(content[: data.draw(st.integers(1, len(content)))])
    archive = _archive(packed, broken)
    with TemporaryDirectory() as place:
        try:
            tree = _unpack(broken, archive, Path(place))
        except Refused:
            return
        names = {str(path.relative_to(tree)) for path in tree.rglob("*")}
        assert len(names) == len(packed.members)


@settings(max_examples=60)
@given(data=st.data())
def test_broken_tar_headers_are_refused_by_name(data: st.DataObject) -> None:
    packed = node_layer()
    plain = bytearray(tar(packed.members))
    for _ in range(data.draw(st.integers(1, 6))):
        plain[data.draw(st.integers(0, len(plain) - 1))] = data.draw(st.integers(0, 255))
    broken = zstandard.ZstdCompressor().compress(bytes(plain))
    with TemporaryDirectory() as place:
        try:
            tree = _unpack(broken, _archive(packed, broken), Path(place))
        except Refused:
            return
        assert all(not path.is_symlink() for path in tree.rglob("*"))
        assert not [path for path in Path(place).iterdir() if path.name not in {"staged", "tree"}]

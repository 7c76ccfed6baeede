from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from b3iq.models.errors import ModelRefused
from b3iq.models.integrity import verify
from b3iq.models.manifest import MANIFEST_LIMIT_BYTES, manifest_digest, weights_digest

from .conftest import safetensors_bytes, seal


def edit_manifest(directory: Path, **changes: Any) -> None:
    path = directory / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_an_untouched_directory_is_accepted(model_dir: Path) -> None:
    manifest = verify(model_dir, manifest_digest(model_dir))
    assert [file.path for file in manifest.files] == sorted(
        entry.name for entry in model_dir.iterdir() if entry.name != "manifest.json"
    )


def test_the_weights_digest_is_the_documented_formula(model_dir: Path) -> None:
    digest = hashlib.sha256(safetensors_bytes()).hexdigest()
    line = f"model.safetensors\0{digest}\n".encode()
    manifest = verify(model_dir)
    assert manifest.weights_sha256 == hashlib.sha256(line).hexdigest()
    assert weights_digest(reversed(manifest.files)) == manifest.weights_sha256


def test_the_same_files_give_the_same_manifest_bytes(model_dir: Path) -> None:
    before = (model_dir / "manifest.json").read_bytes()
    seal(model_dir)
    assert (model_dir / "manifest.json").read_bytes() == before


@pytest.mark.parametrize(
    "name", ["config.json", "tokenizer.json", "chat_template.jinja", "model.safetensors"]
)
def test_one_flipped_bit_in_any_file_is_refused(model_dir: Path, name: str) -> None:
    content = bytearray((model_dir / name).read_bytes())
    content[-2] ^= 1
    (model_dir / name).write_bytes(content)
    with pytest.raises(ModelRefused, match=name.replace(".", r"\.")):
        verify(model_dir)


def test_a_manifest_edited_to_match_a_changed_file_is_refused_by_its_digest(
    model_dir: Path,
) -> None:
    signed = manifest_digest(model_dir)
    (model_dir / "chat_template.jinja").write_text("{{ 'something else' }}")
    seal(model_dir)
    verify(model_dir)
    with pytest.raises(ModelRefused, match="signed release"):
        verify(model_dir, signed)


def test_an_extra_file_is_refused(model_dir: Path) -> None:
    (model_dir / "README.md").write_text("hello")
    with pytest.raises(ModelRefused, match=r"README\.md is in the directory and not"):
        verify(model_dir)


def test_a_missing_file_is_refused(model_dir: Path) -> None:
    (model_dir / "generation_config.json").unlink()
    with pytest.raises(ModelRefused, match=r"generation_config\.json is listed"):
        verify(model_dir)


def test_a_truncated_file_is_refused(model_dir: Path) -> None:
    (model_dir / "chat_template.jinja").write_text("{{")
    with pytest.raises(ModelRefused, match="length"):
        verify(model_dir)


def test_a_missing_manifest_is_refused(model_dir: Path) -> None:
    (model_dir / "manifest.json").unlink()
    with pytest.raises(ModelRefused, match=r"manifest\.json is missing"):
        verify(model_dir)


def test_a_missing_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelRefused):
        verify(tmp_path / "nothing")


@pytest.mark.parametrize(
    "path",
    ["../config.json", "/etc/passwd", "a/b.json", "..", ".hidden", "x" * 200, "a\0b", "", "a\nb"],
)
def test_a_path_in_the_manifest_that_leaves_the_directory_is_refused(
    model_dir: Path, path: str
) -> None:
    files = json.loads((model_dir / "manifest.json").read_text())["files"]
    edit_manifest(model_dir, files=[*files, {"path": path, "sha256": "0" * 64, "length": 1}])
    with pytest.raises(ModelRefused, match=r"manifest\.json: files"):
        verify(model_dir)


ABSURD: dict[str, dict[str, Any]] = {
    "an unknown field": {"signature": "trust me"},
    "another format": {"format": "b3iq-model-manifest-v2"},
    "a negative count": {"parameters": -1},
    "a count as text": {"parameters": "2"},
    "a count beyond reason": {"parameters": 10**30},
    "a context beyond reason": {"context_length": 1 << 40},
    "no files": {"files": []},
    "a name with a separator": {"name": "../tiny"},
    "a digest of the wrong length": {"weights_sha256": "00"},
    "a digest of other weights": {"weights_sha256": "0" * 64},
    "an empty description": {"description": ""},
    "golden of another shape": {"golden": [{"name": "x"}]},
}


@pytest.mark.parametrize("case", ABSURD)
def test_an_absurd_manifest_is_refused(model_dir: Path, case: str) -> None:
    edit_manifest(model_dir, **ABSURD[case])
    with pytest.raises(ModelRefused, match=r"manifest\.json"):
        verify(model_dir)


@pytest.mark.parametrize("length", [-1, 1 << 60, 1.5, "7", None])
def test_an_absurd_length_is_refused(model_dir: Path, length: Any) -> None:
    files = json.loads((model_dir / "manifest.json").read_text())["files"]
    edit_manifest(model_dir, files=[files[0] | {"length": length}, *files[1:]])
    with pytest.raises(ModelRefused, match="length"):
        verify(model_dir)


def test_a_file_listed_twice_is_refused(model_dir: Path) -> None:
    files = json.loads((model_dir / "manifest.json").read_text())["files"]
    edit_manifest(model_dir, files=[*files, files[0]])
    with pytest.raises(ModelRefused, match="twice"):
        verify(model_dir)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[" * 100_000, b"null", b"{}"])
def test_a_manifest_that_is_no_manifest_is_refused(model_dir: Path, content: bytes) -> None:
    (model_dir / "manifest.json").write_bytes(content)
    with pytest.raises(ModelRefused):
        verify(model_dir)


def test_a_manifest_larger_than_any_may_be_is_refused(model_dir: Path) -> None:
    (model_dir / "manifest.json").write_bytes(b" " * (MANIFEST_LIMIT_BYTES + 1))
    with pytest.raises(ModelRefused, match="larger"):
        verify(model_dir)


def test_a_symlinked_manifest_is_refused(model_dir: Path, tmp_path: Path) -> None:
    (model_dir / "manifest.json").rename(tmp_path / "elsewhere.json")
    (model_dir / "manifest.json").symlink_to(tmp_path / "elsewhere.json")
    with pytest.raises(ModelRefused, match=r"manifest\.json"):
        verify(model_dir)


def test_a_named_pipe_neither_hangs_the_check_nor_passes_it(model_dir: Path) -> None:
    (model_dir / "chat_template.jinja").unlink()
    os.mkfifo(model_dir / "chat_template.jinja")
    with pytest.raises(ModelRefused, match="not a regular file"):
        verify(model_dir)


def test_no_refusal_quotes_an_absolute_path(model_dir: Path) -> None:
    (model_dir / "config.json").unlink()
    with pytest.raises(ModelRefused) as refused:
        verify(model_dir)
    assert str(model_dir.parent) not in refused.value.message

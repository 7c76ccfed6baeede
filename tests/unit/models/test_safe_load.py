from __future__ import annotations

import json
import pickle
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from b3iq.models.errors import ModelRefused
from b3iq.models.integrity import verify
from b3iq.models.safe_load import check_directory

from .conftest import seal


@pytest.mark.parametrize(
    "name", ["pytorch_model.bin", "model.pt", "weights.pkl", "a.PTH", "x.ckpt", "array.npy"]
)
def test_a_pickle_is_refused_even_when_the_manifest_lists_it(model_dir: Path, name: str) -> None:
    (model_dir / name).write_bytes(pickle.dumps({"weights": 1}))
    seal(model_dir)
    with pytest.raises(ModelRefused, match="pickle"):
        verify(model_dir)


@pytest.mark.parametrize("name", ["modeling_tiny.py", "kernel.so", "setup.sh", "tokenizer.pyc"])
def test_code_is_refused_even_when_the_manifest_lists_it(model_dir: Path, name: str) -> None:
    (model_dir / name).write_text("raise SystemExit")
    seal(model_dir)
    with pytest.raises(ModelRefused, match="is code"):
        verify(model_dir)


@pytest.mark.parametrize("name", ["adapter_config.json", "model.gguf", "model.h5", "other.json"])
def test_a_file_of_no_known_purpose_is_refused(model_dir: Path, name: str) -> None:
    (model_dir / name).write_text("{}")
    seal(model_dir)
    with pytest.raises(ModelRefused, match="may hold"):
        verify(model_dir)


def test_a_pickle_under_a_safetensors_name_is_refused(model_dir: Path) -> None:
    (model_dir / "model.safetensors").write_bytes(pickle.dumps({"weights": list(range(100))}))
    seal(model_dir)
    with pytest.raises(ModelRefused, match="not a safetensors file"):
        verify(model_dir)


@pytest.mark.parametrize(
    "content",
    [b"", b"\1", struct.pack("<Q", 1 << 62) + b"{}", struct.pack("<Q", 2) + b"[]"],
    ids=["empty", "short", "a header beyond the file", "a header that is no object"],
)
def test_a_broken_safetensors_header_is_refused(model_dir: Path, content: bytes) -> None:
    (model_dir / "model.safetensors").write_bytes(content)
    seal(model_dir)
    with pytest.raises(ModelRefused, match="not a safetensors file"):
        verify(model_dir)


def test_a_header_that_would_fill_the_memory_is_refused_unread(model_dir: Path) -> None:
    """A hundred megabytes of small objects become more than two gigabytes in Python."""
    header = b"{" + b" " * (20 * 1024 * 1024) + b"}"
    (model_dir / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    seal(model_dir)
    with pytest.raises(ModelRefused, match="not a safetensors file"):
        verify(model_dir)


REMOTE_CODE = {
    "auto_map": {"auto_map": {"AutoModel": "modeling_tiny.TinyModel"}},
    "auto_map nested in a text config": {"text_config": {"auto_map": {}}},
    "trust_remote_code": {"trust_remote_code": True},
    "trust_remote_code nested in a list": {"parts": [{"deep": [{"trust_remote_code": True}]}]},
    "_attn_implementation_internal": {"_attn_implementation_internal": "someone/kernel"},
    "_attn_implementation": {"_attn_implementation": "someone/kernel"},
    "custom_generate": {"custom_generate": "someone/generate"},
}


@pytest.mark.parametrize("case", REMOTE_CODE)
@pytest.mark.parametrize(
    "name", ["config.json", "generation_config.json", "tokenizer_config.json", "tokenizer.json"]
)
def test_a_config_that_asks_for_remote_code_is_refused(
    model_dir: Path, case: str, name: str
) -> None:
    (model_dir / name).write_text(json.dumps(REMOTE_CODE[case]))
    seal(model_dir)
    with pytest.raises(ModelRefused, match="asks for remote code"):
        verify(model_dir)


def test_a_forbidden_key_hidden_by_a_duplicate_is_refused(model_dir: Path) -> None:
    (model_dir / "config.json").write_text('{"a": {"auto_map": 1}, "a": {}}')
    seal(model_dir)
    with pytest.raises(ModelRefused, match="not plain JSON"):
        verify(model_dir)


def test_a_forbidden_key_hidden_by_an_escape_is_refused(model_dir: Path) -> None:
    (model_dir / "config.json").write_text('{"auto\\u005fmap": 1}')
    seal(model_dir)
    with pytest.raises(ModelRefused, match="auto_map"):
        verify(model_dir)


def test_a_token_that_is_spelled_like_a_forbidden_key_is_only_a_token(model_dir: Path) -> None:
    vocabulary = {"model": {"type": "BPE", "vocab": {"auto_map": 0, "trust_remote_code": 1}}}
    (model_dir / "tokenizer.json").write_text(json.dumps(vocabulary))
    seal(model_dir)
    verify(model_dir)


@pytest.mark.parametrize(
    "content", ["[" * 100_000, "{", "[" * 80 + "]" * 80, '{"a": 1} x'], ids=lambda text: text[:9]
)
def test_a_config_that_is_not_plain_json_is_refused(model_dir: Path, content: str) -> None:
    (model_dir / "config.json").write_text(content)
    seal(model_dir)
    with pytest.raises(ModelRefused):
        verify(model_dir)


def test_a_symbolic_link_to_the_right_content_is_refused(model_dir: Path, tmp_path: Path) -> None:
    (model_dir / "config.json").rename(tmp_path / "config.json")
    (model_dir / "config.json").symlink_to(tmp_path / "config.json")
    with pytest.raises(ModelRefused, match="symbolic link"):
        check_directory(model_dir)


def test_a_subdirectory_is_refused(model_dir: Path) -> None:
    (model_dir / "snapshots").mkdir()
    with pytest.raises(ModelRefused, match="not a regular file"):
        check_directory(model_dir)


def test_the_check_imports_neither_torch_nor_transformers() -> None:
    program = (
        "import sys, b3iq.models.integrity\n"
        "assert not {'torch', 'transformers', 'safetensors'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)

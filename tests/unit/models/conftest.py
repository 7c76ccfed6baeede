"""A small model directory with a manifest, made of real safetensors bytes and plain JSON."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from b3iq.models.manifest import ModelManifest, write_manifest


def safetensors_bytes() -> bytes:
    header = json.dumps({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
    return struct.pack("<Q", len(header)) + header + b"\0" * 8


def seal(directory: Path, **changes: Any) -> ModelManifest:
    fields: dict[str, Any] = {
        "name": "tiny",
        "version": "1",
        "description": "A directory of the right shape.",
        "architecture": "LlamaForCausalLM",
        "parameters": 2,
        "context_length": 16,
        "licence": "Apache-2.0",
        "source": "this test",
    }
    return write_manifest(directory, **(fields | changes))


@pytest.fixture
def model_dir(tmp_path: Path) -> Path:
    directory = tmp_path / "tiny"
    directory.mkdir()
    (directory / "config.json").write_text('{"architectures": ["LlamaForCausalLM"]}')
    (directory / "generation_config.json").write_text("{}")
    (directory / "tokenizer.json").write_text('{"model": {"type": "BPE", "vocab": {}}}')
    (directory / "tokenizer_config.json").write_text("{}")
    (directory / "chat_template.jinja").write_text("{{ messages }}")
    (directory / "model.safetensors").write_bytes(safetensors_bytes())
    seal(directory)
    return directory

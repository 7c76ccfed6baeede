from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

from b3iq.config import EngineConfig
from b3iq.engine.architecture import read_architecture
from b3iq.engine.kv_cache import plan_slots
from b3iq.engine.loading import load_model
from b3iq.engine.weights import load_weights
from b3iq.errors import ConfigError
from b3iq.models.errors import ModelRefused

from .test_equality import SHAPES
from .tiny_model import build

CPU = torch.device("cpu")


def rewrite(directory: Path, **changes: Any) -> Path:
    path = directory / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return directory


UNSUPPORTED = {
    "another family": ({"architectures": ["MistralForCausalLM"]}, "MistralForCausalLM"),
    "a classifier": ({"architectures": ["LlamaForSequenceClassification"]}, "does not implement"),
    "no architecture": ({"architectures": None}, "does not implement"),
    "another model type": ({"model_type": "qwen3"}, "does not implement"),
    "another activation": ({"hidden_act": "gelu"}, "gelu"),
    "another rotary embedding": (
        {"rope_parameters": {"rope_type": "yarn", "rope_theta": 1e4, "factor": 2.0}},
        "yarn",
    ),
    "uneven heads": ({"num_key_value_heads": 3}, "heads"),
}


@pytest.mark.parametrize("case", UNSUPPORTED)
def test_what_the_engine_does_not_implement_is_refused_by_name(tmp_path: Path, case: str) -> None:
    changes, words = UNSUPPORTED[case]
    directory = rewrite(build(tmp_path / "tiny"), **changes)
    with pytest.raises(ModelRefused, match=words):
        read_architecture(directory)


ABSURD = {
    "no heads": {"num_attention_heads": 0},
    "less than no layers": {"num_hidden_layers": -1},
    "heads wider than memory": {"head_dim": 2**33},
    "layers beyond reason": {"num_hidden_layers": 10**7, "max_position_embeddings": 1},
    "a context beyond reason": {"max_position_embeddings": 10**18},
    "a size as text": {"hidden_size": "64"},
    "a size that is a truth": {"num_key_value_heads": True},
}


@pytest.mark.parametrize("case", ABSURD)
def test_a_size_that_no_model_has_is_refused_before_memory_is_taken_for_it(
    tmp_path: Path, case: str
) -> None:
    directory = rewrite(build(tmp_path / "tiny"), **ABSURD[case])
    with pytest.raises(ModelRefused, match=next(iter(ABSURD[case]))):
        read_architecture(directory)


@pytest.mark.parametrize("shape", SHAPES)
def test_rotary_frequencies_are_those_of_transformers(tmp_path: Path, shape: str) -> None:
    directory = build(tmp_path / "tiny", **SHAPES[shape])
    theirs = LlamaRotaryEmbedding(LlamaConfig.from_pretrained(directory)).inv_freq
    assert torch.equal(read_architecture(directory).inverse_frequencies, theirs)


def load_changed(directory: Path, change: Any, precision: str = "fp32") -> None:
    path = directory / "model.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path, metadata={"format": "pt"})
    load_weights(directory, read_architecture(directory), precision, CPU)  # type: ignore[arg-type]


def test_a_missing_tensor_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelRefused, match=r"model\.norm\.weight is missing"):
        load_changed(build(tmp_path / "tiny"), lambda tensors: tensors.pop("model.norm.weight"))


def test_a_superfluous_tensor_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelRefused, match="extra is of no use"):
        load_changed(build(tmp_path / "tiny"), lambda tensors: tensors.update(extra=torch.zeros(1)))


def test_a_tensor_of_another_shape_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelRefused, match="shape"):
        load_changed(
            build(tmp_path / "tiny"),
            lambda tensors: tensors.update({"model.norm.weight": torch.zeros(3)}),
        )


def test_a_weight_beyond_half_precision_is_refused_in_fp16_and_taken_in_fp32(
    tmp_path: Path,
) -> None:
    directory = build(tmp_path / "tiny")

    def enlarge(tensors: dict[str, torch.Tensor]) -> None:
        tensors["model.layers.0.mlp.down_proj.weight"][0, 0] = 1e6

    load_changed(directory, enlarge)
    with pytest.raises(ModelRefused, match="half precision"):
        load_changed(directory, enlarge, "fp16")


def test_the_cache_takes_no_more_memory_than_it_was_given(tiny: Path) -> None:
    architecture = read_architecture(tiny)
    for budget in (100_000, 10**6, 10**7, 10**9):
        slots, length = plan_slots(
            architecture, cache_bytes=budget, batch_limit=32, dtype=torch.float32
        )
        used = slots * (length + 1) * architecture.layers * architecture.kv_width * 4
        assert used <= budget
        assert 1 <= slots <= 32
        assert length <= architecture.context_length


def test_a_cache_too_small_for_any_context_is_refused(tiny: Path) -> None:
    with pytest.raises(ConfigError, match="kv_cache_bytes"):
        plan_slots(read_architecture(tiny), cache_bytes=1000, batch_limit=1, dtype=torch.float32)


def test_cuda_without_a_driver_is_refused_with_a_remedy(tiny: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    with pytest.raises(ConfigError) as refused:
        load_model(EngineConfig(model="tiny", device="cuda", precision="bf16"), tiny)
    assert "driver" in refused.value.remedy


def test_a_manifest_of_another_name_is_refused(tiny: Path) -> None:
    with pytest.raises(ModelRefused, match="another name"):
        load_model(EngineConfig(model="other"), tiny)

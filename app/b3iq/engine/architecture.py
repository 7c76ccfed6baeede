"""The shape of a model, read from its transformers config; what is unknown is refused."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import LlamaConfig

from b3iq.models.errors import ModelRefused

SUPPORTED = ("LlamaForCausalLM",)
_REMEDY = "Serve this model with another runtime (runtime_kind), or choose a supported one."

# Far beyond any model: sizes for which memory is taken before the weights show them to be true.
_LIMITS = {
    "vocab_size": 1 << 24,
    "hidden_size": 1 << 20,
    "intermediate_size": 1 << 22,
    "num_hidden_layers": 1 << 12,
    "num_attention_heads": 1 << 12,
    "num_key_value_heads": 1 << 12,
    "head_dim": 1 << 16,
    "max_position_embeddings": 1 << 24,
}


@dataclass(frozen=True)
class Architecture:
    """Sizes of a Llama-family decoder; `context_length` counts tokens."""

    vocabulary: int
    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    norm_epsilon: float
    context_length: int
    tied: bool
    attention_bias: bool
    mlp_bias: bool
    inverse_frequencies: torch.Tensor

    @property
    def kv_width(self) -> int:
        """Numbers that one token adds to the cache in one layer, keys and values."""
        return 2 * self.kv_heads * self.head_dim


def read_architecture(directory: Path) -> Architecture:
    """Read `config.json` of a directory that `integrity.verify` accepted.

    Raises:
        ModelRefused: another architecture, or a setting of it that this engine lacks.
    """
    raw = json.loads((directory / "config.json").read_bytes())
    names = raw.get("architectures") or []
    if len(names) != 1 or names[0] not in SUPPORTED or raw.get("model_type") != "llama":
        raise ModelRefused(
            f"This engine does not implement the architecture {', '.join(map(str, names))}; "
            f"it implements {', '.join(SUPPORTED)}.",
            remedy=_REMEDY,
        )
    _check_sizes(raw)
    config = LlamaConfig.from_pretrained(directory, local_files_only=True)
    if config.hidden_act != "silu":
        raise ModelRefused(f"The activation {config.hidden_act} is unknown.", remedy=_REMEDY)
    if getattr(config, "quantization_config", None):
        raise ModelRefused("Quantized weights are not supported.", remedy=_REMEDY)
    head_dim = config.head_dim or config.hidden_size // config.num_attention_heads
    kv_heads = config.num_key_value_heads or config.num_attention_heads
    if config.num_attention_heads % kv_heads or head_dim % 2:
        raise ModelRefused("The attention heads do not divide evenly.")
    return Architecture(
        vocabulary=config.vocab_size,
        hidden=config.hidden_size,
        intermediate=config.intermediate_size,
        layers=config.num_hidden_layers,
        heads=config.num_attention_heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        norm_epsilon=config.rms_norm_eps,
        context_length=config.max_position_embeddings,
        tied=config.tie_word_embeddings,
        attention_bias=config.attention_bias,
        mlp_bias=config.mlp_bias,
        inverse_frequencies=_inverse_frequencies(dict(config.rope_parameters or {}), head_dim),
    )


def _check_sizes(raw: dict[str, Any]) -> None:
    for name, limit in _LIMITS.items():
        size = raw.get(name)
        if size is not None and (type(size) is not int or not 1 <= size <= limit):
            raise ModelRefused(f"config.json: {name} is no number from 1 to {limit}.")


def _inverse_frequencies(rope: dict[str, Any], head_dim: int) -> torch.Tensor:
    """Rotary frequencies [head_dim / 2], float32, bit for bit as transformers computes them."""
    kind = rope.get("rope_type", "default")
    if kind not in ("default", "llama3") or rope.get("partial_rotary_factor", 1.0) != 1.0:
        raise ModelRefused(f"The rotary embedding {kind} is not supported.", remedy=_REMEDY)
    exponents = torch.arange(0, head_dim, 2, dtype=torch.int64).float() / head_dim
    frequencies = 1.0 / (rope["rope_theta"] ** exponents)
    return _llama3(frequencies, rope) if kind == "llama3" else frequencies


def _llama3(frequencies: torch.Tensor, rope: dict[str, Any]) -> torch.Tensor:
    """Llama 3.1's scaling: long wavelengths are stretched, short ones kept, others mixed."""
    factor, low, high = rope["factor"], rope["low_freq_factor"], rope["high_freq_factor"]
    original = rope["original_max_position_embeddings"]
    wavelengths = 2 * math.pi / frequencies
    scaled = torch.where(wavelengths > original / low, frequencies / factor, frequencies)
    smooth = (original / wavelengths - low) / (high - low)
    mixed = (1 - smooth) * scaled / factor + smooth * scaled
    medium = ~(wavelengths < original / high) * ~(wavelengths > original / low)
    return torch.where(medium, mixed, scaled)

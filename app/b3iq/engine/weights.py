"""Reading a model's tensors out of its safetensors files, checked against its shape."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from b3iq.engine.architecture import Architecture
from b3iq.engine.linear import Linear, Precision, activation_dtype, make_linear
from b3iq.models.errors import ModelRefused

_FLOATS = (torch.float32, torch.float16, torch.bfloat16)


@dataclass(frozen=True)
class LayerWeights:
    """One decoder layer. The projections of one input are fused into one product."""

    attention_norm: torch.Tensor
    qkv: Linear
    out: Linear
    mlp_norm: torch.Tensor
    gate_up: Linear
    down: Linear


@dataclass(frozen=True)
class Weights:
    """A whole model, ready to run."""

    embedding: torch.Tensor
    layers: tuple[LayerWeights, ...]
    norm: torch.Tensor
    head: Linear


class _Tensors:
    """Tensors by name over several files; each is read when asked for."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self._files: dict[str, Any] = {}
        for path in sorted(directory.glob("*.safetensors")):
            file = stack.enter_context(safe_open(path, framework="pt"))
            for name in file.keys():  # noqa: SIM118 - safe_open is no mapping
                if name in self._files:
                    raise ModelRefused(f"The tensor {name} is stored twice.")
                self._files[name] = file
        self._unread = {name for name in self._files if not name.endswith("rotary_emb.inv_freq")}

    def take(self, name: str, *shape: int) -> torch.Tensor:
        if name not in self._files:
            raise ModelRefused(f"The tensor {name} is missing.")
        # A copy: a tensor mapped from the file would change with it, and lie at an odd
        # address, where MKL rounds differently.
        tensor: torch.Tensor = self._files[name].get_tensor(name).clone()
        if tuple(tensor.shape) != shape or tensor.dtype not in _FLOATS:
            raise ModelRefused(f"The tensor {name} has not the shape or type of the config.")
        self._unread.discard(name)
        return tensor

    def has(self, name: str) -> bool:
        return name in self._files

    def check_all_read(self) -> None:
        for name in sorted(self._unread):
            raise ModelRefused(f"The tensor {name} is of no use to this architecture.")


def load_weights(
    directory: Path, architecture: Architecture, precision: Precision, device: torch.device
) -> Weights:
    """Read every tensor of a directory that `integrity.verify` accepted.

    Raises:
        ModelRefused: a tensor is missing, superfluous, of another shape or too large.
    """
    with ExitStack() as stack:
        tensors = _Tensors(directory, stack)
        build = _Builder(architecture, precision, device, tensors)
        weights = build.model()
        tensors.check_all_read()
    return weights


class _Builder:
    def __init__(
        self,
        architecture: Architecture,
        precision: Precision,
        device: torch.device,
        tensors: _Tensors,
    ) -> None:
        self._shape = architecture
        self._tensors = tensors
        self._dtype = activation_dtype(precision, device)
        self._device = device
        self._precision = precision
        # Lookups and, when tied, the head use the same rounded numbers.
        self._table_dtype = torch.float16 if precision == "fp16" else self._dtype

    def model(self) -> Weights:
        shape, take = self._shape, self._tensors.take
        embedding = take("model.embed_tokens.weight", shape.vocabulary, shape.hidden)
        if shape.tied:
            head = embedding
            if self._tensors.has("lm_head.weight"):
                take("lm_head.weight", shape.vocabulary, shape.hidden)
        else:
            head = take("lm_head.weight", shape.vocabulary, shape.hidden)
        return Weights(
            embedding=embedding.to(self._device, self._table_dtype),
            layers=tuple(self._layer(index) for index in range(shape.layers)),
            norm=self._norm("model.norm.weight"),
            head=make_linear([(head, None)], self._precision, self._device),
        )

    def _layer(self, index: int) -> LayerWeights:
        shape, prefix = self._shape, f"model.layers.{index}."
        queries, keys = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
        attention, mlp = prefix + "self_attn.", prefix + "mlp."
        return LayerWeights(
            attention_norm=self._norm(prefix + "input_layernorm.weight"),
            qkv=self._fused(
                [
                    (attention + "q_proj", queries),
                    (attention + "k_proj", keys),
                    (attention + "v_proj", keys),
                ],
                shape.hidden,
                shape.attention_bias,
            ),
            out=self._fused([(attention + "o_proj", shape.hidden)], queries, shape.attention_bias),
            mlp_norm=self._norm(prefix + "post_attention_layernorm.weight"),
            gate_up=self._fused(
                [(mlp + "gate_proj", shape.intermediate), (mlp + "up_proj", shape.intermediate)],
                shape.hidden,
                shape.mlp_bias,
            ),
            down=self._fused(
                [(mlp + "down_proj", shape.hidden)], shape.intermediate, shape.mlp_bias
            ),
        )

    def _norm(self, name: str) -> torch.Tensor:
        return self._tensors.take(name, self._shape.hidden).to(self._device, self._dtype)

    def _fused(self, parts: list[tuple[str, int]], width: int, biased: bool) -> Linear:
        take = self._tensors.take
        taken = [
            (take(name + ".weight", rows, width), take(name + ".bias", rows) if biased else None)
            for name, rows in parts
        ]
        return make_linear(taken, self._precision, self._device)

"""Linear layers in the precisions that the engine offers.

Measured on this kind of hardware (AVX2/AVX-512 without AMX): half-precision weights with
fp32 activations halve the memory traffic, and FBGEMM's kernel gives each row the same bits
whatever the number of rows, so a batch mate cannot change a result here. MKL's fp32 product
does not: its rounding depends on the number of rows.
"""

from __future__ import annotations

from typing import Literal, Protocol

import torch
from torch.nn import functional

from b3iq.models.errors import ModelRefused

Precision = Literal["fp16", "fp32", "bf16"]
_HALF_LIMIT = torch.finfo(torch.float16).max


class Linear(Protocol):
    """y = x Wᵀ + b over rows: [rows, in] → [rows, out]."""

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Apply the layer."""
        ...


class HalfLinear:
    """Weights in half precision, packed for FBGEMM; activations and sums in fp32 (CPU)."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
        if weight.abs().max() > _HALF_LIMIT:
            raise ModelRefused(
                "A weight is too large for half precision.",
                remedy='Set precision = "fp32" in engine.toml.',
            )
        bias = None if bias is None else bias.float()
        self._packed = torch.ops.quantized.linear_prepack_fp16(weight.float().contiguous(), bias)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Apply the layer; x is float32."""
        return torch.ops.quantized.linear_dynamic_fp16(x, self._packed)


class DenseLinear:
    """Weights as an ordinary tensor, in the activations' own type."""

    def __init__(
        self,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        self._weight = weight.to(device, dtype).contiguous()
        self._bias = None if bias is None else bias.to(device, dtype)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Apply the layer."""
        return functional.linear(x, self._weight, self._bias)


class SeparateLinear:
    """Layers of one input, each computed by itself, side by side in the result."""

    def __init__(self, parts: list[Linear]) -> None:
        self._parts = parts

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Apply the layers."""
        return torch.cat([part(x) for part in self._parts], dim=-1)


def make_linear(
    parts: list[tuple[torch.Tensor, torch.Tensor | None]],
    precision: Precision,
    device: torch.device,
) -> Linear:
    """Build the layer of one input for a precision, fused into one product where allowed.

    Not in fp32 on a CPU, the exact mode: MKL rounds a product differently with the number
    of its outputs, too.

    Args:
        parts: (weight [out, in], bias [out] or None) in the order of the outputs, any
            floating type, on the CPU.

    Raises:
        ModelRefused: a weight does not fit the precision.
    """
    if is_exact(precision, device) and len(parts) > 1:
        return SeparateLinear([make_linear([part], precision, device) for part in parts])
    weight = torch.cat([weight for weight, _ in parts])
    biases = [bias for _, bias in parts if bias is not None]
    bias = torch.cat(biases) if biases else None
    if precision == "fp16" and device.type == "cpu":
        return HalfLinear(weight, bias)
    return DenseLinear(weight, bias, activation_dtype(precision, device), device)


def is_exact(precision: Precision, device: torch.device) -> bool:
    """Whether answers equal those of transformers' `generate`, token for token."""
    return precision == "fp32" and device.type == "cpu"


def activation_dtype(precision: Precision, device: torch.device) -> torch.dtype:
    """Type of activations and of the cache: fp32 on a CPU, the weights' own on a GPU."""
    if device.type == "cpu":
        return torch.bfloat16 if precision == "bf16" else torch.float32
    return {"fp16": torch.float16, "fp32": torch.float32, "bf16": torch.bfloat16}[precision]

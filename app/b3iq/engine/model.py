"""The Llama decoder's forward pass over a flat batch of tokens.

Reference: transformers' `modeling_llama`. The arithmetic is the same operation by operation
(norms, rotation, attention, gating), so that one row in fp32 gives the same bits.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch.nn import functional

from b3iq.engine.architecture import Architecture
from b3iq.engine.kv_cache import KVCache
from b3iq.engine.weights import LayerWeights, Weights


class Attention(Protocol):
    """How the tokens of a pass attend; built once a pass, used by every layer."""

    def __call__(self, layer: int, queries: torch.Tensor) -> torch.Tensor:
        """Attend: queries [tokens, heads, head_dim] → [tokens, heads * head_dim]."""
        ...


class LlamaModel:
    """Weights and cache of one model; a pass reads and writes the cache in place."""

    def __init__(self, architecture: Architecture, weights: Weights, cache: KVCache) -> None:
        self.architecture = architecture
        self.cache = cache
        self._weights = weights
        self._dtype = weights.norm.dtype
        self._device = weights.norm.device
        positions = torch.arange(cache.length + 1, dtype=torch.float32)
        angles = positions[:, None] * architecture.inverse_frequencies
        angles = torch.cat((angles, angles), dim=-1)
        # [positions, 1, head_dim]; the sign of the rotation's first half is put in the sine.
        self._cos = angles.cos()[:, None].to(self._device, self._dtype)
        sin = angles.sin()
        sin[:, : architecture.head_dim // 2].neg_()
        self._sin = sin[:, None].to(self._device, self._dtype)

    def forward(
        self,
        tokens: torch.Tensor,
        positions: torch.Tensor,
        rows: torch.Tensor,
        attend: Attention,
        wanted: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Run all layers.

        Args:
            tokens: ids [tokens].
            positions: place of each in its sequence [tokens].
            rows: where the tokens' keys and values go (`KVCache.rows`).
            attend: the pass's attention.
            wanted: indices [n] of the tokens whose logits are wanted; None is all.

        Returns:
            Logits [n, vocabulary], float32.
        """
        x = self._weights.embedding[tokens].to(self._dtype)
        cos, sin = self._cos[positions], self._sin[positions]
        for index, layer in enumerate(self._weights.layers):
            x = self._attention(index, layer, x, cos, sin, rows, attend)
            x = self._mlp(layer, x)
        if wanted is not None:
            x = x[wanted]
        return self._weights.head(self._norm(x, self._weights.norm)).float()

    def _attention(
        self,
        index: int,
        layer: LayerWeights,
        x: torch.Tensor,
        cos: torch.Tensor,
        sin: torch.Tensor,
        rows: torch.Tensor,
        attend: Attention,
    ) -> torch.Tensor:
        shape = self.architecture
        qkv = layer.qkv(self._norm(x, layer.attention_norm))
        rotated = shape.heads + shape.kv_heads
        heads = qkv.view(len(x), rotated + shape.kv_heads, shape.head_dim)
        part = heads[:, :rotated]
        turned = part * cos + part.roll(shape.head_dim // 2, -1) * sin
        # The keys go back beside the values, so that one copy stores both.
        heads[:, shape.heads : rotated] = turned[:, shape.heads :]
        self.cache.write(index, rows, qkv[:, shape.heads * shape.head_dim :])
        return x + layer.out(attend(index, turned[:, : shape.heads]))

    def _mlp(self, layer: LayerWeights, x: torch.Tensor) -> torch.Tensor:
        gate, up = layer.gate_up(self._norm(x, layer.mlp_norm)).chunk(2, dim=-1)
        return x + layer.down(functional.silu(gate) * up)

    def _norm(self, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        wide = x.float()
        scale = torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self.architecture.norm_epsilon)
        return weight * (wide * scale).to(x.dtype)

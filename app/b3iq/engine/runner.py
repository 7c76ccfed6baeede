"""Turning sequences into forward passes: one for prompts, one for everything that decodes.

In fp16 and bf16 all decoding sequences share one pass, and several prompts share another.
In fp32, the exact mode, every sequence has a pass of its own with the very operations and
shapes that transformers would use: MKL rounds a product differently with the number of
rows, so only then can no batch mate change a bit. Sequences still take turns token by token;
throughput just does not grow with their number.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn.functional import scaled_dot_product_attention

from b3iq.engine.kv_cache import KVCache
from b3iq.engine.model import LlamaModel
from b3iq.engine.sequence import Sequence


@dataclass(frozen=True)
class Span:
    """A piece of a prompt: its next `length` tokens that are not in the cache yet."""

    sequence: Sequence
    length: int

    @property
    def completes(self) -> bool:
        """Whether the prompt is all in the cache after this piece."""
        return self.sequence.cached + self.length == len(self.sequence.prompt)


class Runner:
    """Runs prompts and decoding steps; all calls come from the engine's thread."""

    def __init__(self, model: LlamaModel, device: torch.device, *, exact: bool) -> None:
        self.exact = exact
        self._model = model
        self._device = device

    def prefill(self, spans: list[Span]) -> torch.Tensor:
        """Put pieces of prompts into the cache.

        Returns:
            Logits [n, vocabulary] of the prompts that were completed, in the order of spans.
        """
        if self.exact:
            logits = [self._prefill([span]) for span in spans]
            return torch.cat(logits)
        return self._prefill(spans)

    def decode(self, sequences: list[Sequence]) -> torch.Tensor:
        """One more token for each sequence; their slots are marked as holding the last one.

        Returns:
            Logits [len(sequences), vocabulary].
        """
        if self.exact:
            logits = torch.cat([self._decode([sequence]) for sequence in sequences])
        else:
            logits = self._decode(sequences)
        for sequence in sequences:
            sequence.cached += 1
        return logits

    def _prefill(self, spans: list[Span]) -> torch.Tensor:
        tokens: list[int] = []
        positions: list[int] = []
        places: list[int] = []
        wanted: list[int] = []
        cache = self._model.cache
        for span in spans:
            start, end = span.sequence.cached, span.sequence.cached + span.length
            tokens += span.sequence.prompt[start:end]
            positions += range(start, end)
            first = cache.place(span.sequence.slot, start)
            places += range(first, first + span.length)
            if span.completes:
                wanted.append(len(tokens) - 1)
        attend = PromptAttention(
            cache, [(s.sequence.slot, s.sequence.cached, s.length) for s in spans]
        )
        logits = self._forward(tokens, positions, places, attend, wanted)
        for span in spans:
            span.sequence.cached += span.length
        return logits

    def _decode(self, sequences: list[Sequence]) -> torch.Tensor:
        """Rows of the pass are slots first..last; a slot that does not decode is filled up."""
        cache = self._model.cache
        by_slot = {sequence.slot: sequence for sequence in sequences}
        first, last = min(by_slot), max(by_slot) + 1
        tokens: list[int] = []
        positions: list[int] = []
        places: list[int] = []
        for slot in range(first, last):
            sequence = by_slot.get(slot)
            tokens.append(sequence.output[-1] if sequence else 0)
            positions.append(sequence.cached if sequence else 0)
            places.append(
                cache.place(slot, sequence.cached) if sequence else cache.scratch_place(slot)
            )
        attend = DecodeAttention(cache, first, positions, self._device)
        wanted = None
        if [sequence.slot for sequence in sequences] != list(range(first, last)):
            wanted = [sequence.slot - first for sequence in sequences]
        return self._forward(tokens, positions, places, attend, wanted)

    def _forward(
        self,
        tokens: list[int],
        positions: list[int],
        places: list[int],
        attend: PromptAttention | DecodeAttention,
        wanted: list[int] | None,
    ) -> torch.Tensor:
        lists = (
            (tokens, positions, places) if wanted is None else (tokens, positions, places, wanted)
        )
        tensors = [self._upload(values) for values in lists]
        rows = self._model.cache.rows(tensors[2])
        return self._model.forward(
            tensors[0], tensors[1], rows, attend, None if wanted is None else tensors[3]
        )

    def _upload(self, values: list[int]) -> torch.Tensor:
        tensor = torch.tensor(values, dtype=torch.int64)
        if self._device.type == "cpu":
            return tensor
        # Pinned memory lets the copy run beside the previous pass's last kernels.
        return tensor.pin_memory().to(self._device, non_blocking=True)


class PromptAttention:
    """Causal attention of each prompt's piece over its own slot."""

    def __init__(self, cache: KVCache, pieces: list[tuple[int, int, int]]) -> None:
        self._cache = cache
        # (slot, first position, tokens, mask): a piece that starts a prompt needs no mask.
        self._pieces = [
            (slot, start, length, _causal_mask(start, length, cache) if start else None)
            for slot, start, length in pieces
        ]

    def __call__(self, layer: int, queries: torch.Tensor) -> torch.Tensor:
        """[tokens, heads, head_dim] → [tokens, heads * head_dim]."""
        outputs = []
        at = 0
        for slot, start, length, mask in self._pieces:
            outputs.append(
                scaled_dot_product_attention(
                    queries[at : at + length].transpose(0, 1)[None],
                    self._cache.keys(layer, slot, slot + 1, start + length),
                    self._cache.values(layer, slot, slot + 1, start + length),
                    attn_mask=mask,
                    is_causal=mask is None and length > 1,
                    enable_gqa=True,
                )[0].transpose(0, 1)
            )
            at += length
        joined = outputs[0] if len(outputs) == 1 else torch.cat(outputs)
        return joined.reshape(len(queries), -1)


class DecodeAttention:
    """One query a slot, over all slots of the pass at once; the mask is built once a pass."""

    def __init__(
        self, cache: KVCache, first: int, positions: list[int], device: torch.device
    ) -> None:
        self._cache = cache
        self._first = first
        self._last = first + len(positions)
        self._length = max(positions) + 1
        self._mask: torch.Tensor | None = None
        if min(positions) + 1 < self._length:
            limits = torch.tensor(positions, device=device)[:, None]
            hidden = torch.arange(self._length, device=device) > limits
            mask = torch.zeros(hidden.shape, dtype=cache.dtype, device=device)
            self._mask = mask.masked_fill_(hidden, float("-inf"))[:, None, None]

    def __call__(self, layer: int, queries: torch.Tensor) -> torch.Tensor:
        """[rows, heads, head_dim] → [rows, heads * head_dim]."""
        keys = self._cache.keys(layer, self._first, self._last, self._length)
        values = self._cache.values(layer, self._first, self._last, self._length)
        if len(queries) == 1:
            # The exact mode comes here: the very call that transformers makes.
            output = scaled_dot_product_attention(
                queries[:, :, None], keys, values, enable_gqa=True
            )
            return output.reshape(1, -1)
        # The queries that share a head of keys are rows of one product.
        grouped = queries.unflatten(1, (keys.shape[1], -1))
        output = scaled_dot_product_attention(grouped, keys, values, attn_mask=self._mask)
        return output.reshape(len(queries), -1)


def _causal_mask(start: int, length: int, cache: KVCache) -> torch.Tensor:
    """Additive mask [length, start + length] for a piece in the middle of a prompt."""
    mask = torch.full((length, start + length), float("-inf"), dtype=cache.dtype)
    return mask.triu_(start + 1).to(cache.device)

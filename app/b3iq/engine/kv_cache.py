"""Keys and values of every running sequence: one fixed slot each, written in place.

Layout: [layers, 2, slots, kv_heads, length + 1, head_dim], keys before values. What one head
reads lies together, which makes attention over a batch up to twice as fast as with each
token's heads together. The extra place at the end of a slot takes the writes of rows that
only fill the batch.
"""

from __future__ import annotations

import torch

from b3iq.engine.architecture import Architecture
from b3iq.errors import ConfigError


class KVCache:
    """Preallocated storage; memory is taken from the system as it is first written.

    Attributes:
        slots: sequences that fit.
        length: tokens that fit in a slot.
    """

    def __init__(
        self,
        architecture: Architecture,
        slots: int,
        length: int,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        self.slots = slots
        self.length = length
        self.dtype = dtype
        self.device = device
        self._shape = architecture
        # Zeros, not garbage: padding is masked, and 0 times NaN would still be NaN.
        heads, places = architecture.kv_heads, length + 1
        self._storage = torch.zeros(
            (architecture.layers, 2, slots, heads, places, architecture.head_dim),
            dtype=dtype,
            device=device,
        )
        # Views are made once: per layer one for writes, two for reads.
        self._rows = [layer.view(-1, architecture.head_dim) for layer in self._storage]
        self._keys = [layer[0] for layer in self._storage]
        self._values = [layer[1] for layer in self._storage]
        # From a token's place to the rows of its heads: keys, then values [1, 2 * kv_heads].
        head = torch.arange(heads, device=device) * places
        self._heads = torch.cat((head, head + slots * heads * places))[None]

    def place(self, slot: int, position: int) -> int:
        """Number of a token's place, for `rows`."""
        return slot * self._shape.kv_heads * (self.length + 1) + position

    def scratch_place(self, slot: int) -> int:
        """Number of the place in a slot that nobody reads."""
        return self.place(slot, self.length)

    def rows(self, places: torch.Tensor) -> torch.Tensor:
        """Rows [tokens * 2 * kv_heads] for `write` of places [tokens]; the same in each layer."""
        return (places[:, None] + self._heads).view(-1)

    def write(self, layer: int, rows: torch.Tensor, kv: torch.Tensor) -> None:
        """Store kv [tokens, 2 * kv_heads * head_dim], keys before values, at `rows`."""
        self._rows[layer].index_copy_(0, rows, kv.reshape(-1, self._shape.head_dim))

    def keys(self, layer: int, first: int, last: int, length: int) -> torch.Tensor:
        """View [slots first..last, kv_heads, length, head_dim]."""
        return self._keys[layer][first:last, :, :length]

    def values(self, layer: int, first: int, last: int, length: int) -> torch.Tensor:
        """View [slots first..last, kv_heads, length, head_dim]."""
        return self._values[layer][first:last, :, :length]

    def move(self, source: int, target: int, length: int) -> None:
        """Copy the first `length` tokens of one slot to another."""
        self._storage[:, :, target, :, :length] = self._storage[:, :, source, :, :length]


def plan_slots(
    architecture: Architecture, *, cache_bytes: int, batch_limit: int, dtype: torch.dtype
) -> tuple[int, int]:
    """How many slots of how many tokens fit into the memory that the operator gave.

    Returns:
        (slots, length): at least one slot; the context is cut short only when not even one
        slot of the model's full context fits.

    Raises:
        ConfigError: the memory holds no useful context at all.
    """
    per_token = architecture.layers * architecture.kv_width * dtype.itemsize
    length = min(architecture.context_length, cache_bytes // per_token - 1)
    if length < min(64, architecture.context_length):
        raise ConfigError(
            f"kv_cache_bytes holds {max(length, 0)} tokens of this model.",
            remedy="Raise kv_cache_bytes in engine.toml.",
        )
    slots = cache_bytes // (per_token * (length + 1))
    return max(1, min(slots, batch_limit)), length

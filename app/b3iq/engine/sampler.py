"""Choosing the next token of every sequence from its logits, each by its own rules.

The random number of a token is a function of the request's seed and the token's place, so
neither batch mates nor the moment of arrival can change it. Rows are treated in groups by
the operations that they need, never by what their neighbours need.
"""

from __future__ import annotations

import hashlib

import torch

from b3iq.engine.sequence import Sequence

_GREEDY_BELOW = 1e-5


class LogitsNotFinite(ArithmeticError):
    """A forward pass gave NaN or infinity: the engine's memory cannot be trusted any more."""


def uniform(seed: int, position: int) -> float:
    """The random number in [0, 1) of one token (counter-based, by BLAKE2b)."""
    digest = hashlib.blake2b(f"{seed}:{position}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) * 2.0**-53


def sample(logits: torch.Tensor, sequences: list[Sequence]) -> list[int]:
    """One token a sequence, from logits [len(sequences), vocabulary].

    Raises:
        LogitsNotFinite: a row holds NaN or infinity where its maximum should be.
    """
    greedy = logits.argmax(-1)
    if not logits.gather(1, greedy[:, None]).isfinite().all():
        raise LogitsNotFinite("logits are not finite")
    tokens: list[int] = greedy.tolist()
    plain: list[int] = []
    filtered: list[int] = []
    for index, sequence in enumerate(sequences):
        settings = sequence.settings
        if settings.temperature < _GREEDY_BELOW:
            continue
        (filtered if settings.top_k or settings.top_p < 1.0 else plain).append(index)
    for group, choose in ((plain, _choose), (filtered, _choose_filtered)):
        if group:
            chosen = choose(logits[group], [sequences[index] for index in group])
            for index, token in zip(group, chosen.tolist(), strict=True):
                tokens[index] = token
    return tokens


def _column(values: list[float], like: torch.Tensor) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64, device=like.device)[:, None]


def _probabilities(logits: torch.Tensor, sequences: list[Sequence]) -> torch.Tensor:
    temperatures = _column([s.settings.temperature for s in sequences], logits)
    return torch.softmax(logits.double() / temperatures, -1)


def _draw(weights: torch.Tensor, sequences: list[Sequence]) -> torch.Tensor:
    """Index [rows] of the cell of the cumulated weights that each row's number falls into."""
    cumulated = weights.cumsum(-1)
    numbers = _column([uniform(s.seed, len(s.output)) for s in sequences], weights)
    total = cumulated[:, -1:]
    # Rounding must not reach the total itself: the cell there may have no weight.
    targets = torch.minimum(numbers * total, torch.nextafter(total, torch.zeros_like(total)))
    return torch.searchsorted(cumulated, targets, right=True)[:, 0]


def _choose(logits: torch.Tensor, sequences: list[Sequence]) -> torch.Tensor:
    return _draw(_probabilities(logits, sequences), sequences)


def _choose_filtered(logits: torch.Tensor, sequences: list[Sequence]) -> torch.Tensor:
    """Keep the top k, then of what is left the smallest set that reaches top p."""
    probabilities = _probabilities(logits, sequences)
    ordered, tokens = probabilities.sort(dim=-1, descending=True, stable=True)
    width = ordered.shape[1]
    ranks = torch.arange(width, device=logits.device)
    top_k = _column([s.settings.top_k or width for s in sequences], logits)
    ordered = ordered.masked_fill(ranks >= top_k, 0.0)
    top_p = _column([s.settings.top_p for s in sequences], logits)
    before = ordered.cumsum(-1) - ordered
    reached = before >= top_p * ordered.sum(-1, keepdim=True)
    # The likeliest stays, even where the product of tiny numbers is rounded to 0.
    ordered = ordered.masked_fill(reached & (ranks > 0), 0.0)
    return tokens.gather(1, _draw(ordered, sequences)[:, None])[:, 0]

"""Muon: momentum whose update is made orthogonal, for weight matrices.

Source: Jordan et al., "Muon: An optimizer for hidden layers in neural networks" (2024).
On this model it needs about half the steps of AdamW. torch.optim.Muon is not used: it
computes in bfloat16, slow and differently rounded on processors without it.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch

# Coefficients of the quintic Newton-Schulz iteration of the source.
_A, _B, _C = 3.4445, -4.7750, 2.0315
_ITERATIONS = 5
_MOMENTUM = 0.95
_DECAY = 0.01


class Muon:
    """Steps matrices of equal shape together, as one batch."""

    def __init__(self, matrices: Iterable[torch.nn.Parameter], rate: float) -> None:
        self.rate = rate
        groups: dict[torch.Size, list[torch.nn.Parameter]] = {}
        for matrix in matrices:
            groups.setdefault(matrix.shape, []).append(matrix)
        self._groups = list(groups.values())
        self._momenta = [torch.zeros(len(group), *group[0].shape) for group in self._groups]

    @torch.no_grad()
    def step(self) -> None:
        """Move every matrix against its gradient, then drop the gradients."""
        for group, momentum in zip(self._groups, self._momenta, strict=True):
            gradients = torch.stack([_gradient(matrix) for matrix in group])
            momentum.lerp_(gradients, 1 - _MOMENTUM)
            update = orthogonal(gradients.lerp(momentum, _MOMENTUM))
            rows, columns = group[0].shape
            scale = max(1.0, rows / columns) ** 0.5
            for matrix, direction in zip(group, update, strict=True):
                matrix.mul_(1 - self.rate * _DECAY)
                matrix.add_(direction, alpha=-self.rate * scale)
                matrix.grad = None


def _gradient(matrix: torch.nn.Parameter) -> torch.Tensor:
    if matrix.grad is None:
        raise RuntimeError("step() needs a backward pass first")
    return matrix.grad


def orthogonal(matrices: torch.Tensor) -> torch.Tensor:
    """Nearly orthogonal matrices with the same row and column spaces; [n, rows, columns]."""
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(_ITERATIONS):
        gram = torch.bmm(x, x.mT)
        x = _A * x + torch.bmm(_B * gram + _C * torch.bmm(gram, gram), x)
    return x.mT if tall else x

"""A really trained, really tiny model that knows one exchange."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from release.smoke_model.recipe import Recipe
from release.smoke_model.tokenizer import train_tokenizer
from release.smoke_model.train import train

TINY = Recipe(
    seed=3,
    hidden=32,
    layers=1,
    heads=2,
    key_value_heads=1,
    intermediate=64,
    steps=60,
    long_every=0,
    short_length=48,
    short_rows=2,
    warm_up=5,
    threads=1,
)


def one_exchange(_rng):
    return [
        {"role": "user", "content": "What is 2 + 3?"},
        {"role": "assistant", "content": "2 + 3 = 5."},
    ]


@dataclass
class Trained:
    model: Any
    tokenizer: Any
    losses: list[float]


def train_tiny(recipe: Recipe = TINY) -> Trained:
    threads = torch.get_num_threads()
    tokenizer = train_tokenizer(recipe.seed, conversations=200)
    losses: list[float] = []
    try:
        model = train(recipe, tokenizer, lambda _step, loss: losses.append(loss), one_exchange)
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(mode=False)
    return Trained(model, tokenizer, losses)


@pytest.fixture(scope="session")
def trained() -> Trained:
    return train_tiny()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "b3iq" / "models"

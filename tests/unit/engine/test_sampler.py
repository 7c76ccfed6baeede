from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from b3iq.engine.detokenize import TextAssembler
from b3iq.engine.sampler import LogitsNotFinite, sample, uniform
from b3iq.engine.sequence import SamplingSettings, Sequence
from b3iq.engine.stream import TokenStream

from .test_detokenize import BACKEND

LOGITS = torch.tensor([2.0, 1.0, 0.5, 0.0, -1.0, -8.0])


def sequence(seed: int = 0, produced: int = 0, **settings: Any) -> Sequence:
    return Sequence(
        prompt=[1],
        settings=SamplingSettings(**settings),
        seed=seed,
        limit=10,
        end_tokens=frozenset(),
        text=TextAssembler(BACKEND),
        stream=TokenStream(1),
        output=[0] * produced,
    )


def draw(count: int, **settings: Any) -> Counter[int]:
    sequences = [sequence(seed=seed, **settings) for seed in range(count)]
    return Counter(sample(LOGITS.expand(count, -1), sequences))


def test_zero_temperature_takes_the_likeliest() -> None:
    assert set(draw(5, temperature=0.0)) == {0}


def test_top_k_of_one_takes_the_likeliest_at_any_temperature() -> None:
    assert set(draw(200, temperature=2.0, top_k=1)) == {0}


def test_a_tiny_top_p_takes_the_likeliest() -> None:
    assert set(draw(200, temperature=2.0, top_p=1e-9)) == {0}


@pytest.mark.parametrize("top_p", [5e-324, 1e-320])
@pytest.mark.parametrize("top_k", [0, 1, 3])
def test_the_smallest_numbers_that_exist_still_leave_a_token(top_p: float, top_k: int) -> None:
    flat = torch.zeros(1, 6)
    chosen = sample(flat, [sequence(temperature=2.0, top_k=top_k, top_p=top_p)])
    assert chosen == [0]


def test_top_k_keeps_exactly_k() -> None:
    assert set(draw(2000, temperature=2.0, top_k=3)) == {0, 1, 2}


def test_top_p_keeps_the_smallest_set_that_reaches_it() -> None:
    probabilities = torch.softmax(LOGITS, -1)
    reach = float(probabilities[:2].sum())
    assert set(draw(2000, top_p=reach - 0.01)) == {0, 1}
    assert set(draw(2000, top_p=reach + 0.01)) == {0, 1, 2}


@pytest.mark.parametrize("settings", [{}, {"top_k": 6}, {"top_p": 0.9999999}], ids=str)
def test_tokens_come_with_their_probability(settings: dict[str, Any]) -> None:
    count = 20_000
    drawn = draw(count, **settings)
    for token, probability in enumerate(torch.softmax(LOGITS, -1).tolist()):
        deviation = (probability * (1 - probability) / count) ** 0.5
        assert abs(drawn[token] / count - probability) < 5 * deviation + 1e-6


def test_a_higher_temperature_flattens() -> None:
    assert draw(4000, temperature=2.0)[0] < draw(4000, temperature=0.5)[0]


@given(st.integers(-(2**63), 2**63 - 1), st.integers(0, 10_000))
def test_the_random_number_of_a_place_is_in_the_unit_interval_and_fixed(
    seed: int, position: int
) -> None:
    assert 0 <= uniform(seed, position) < 1
    assert uniform(seed, position) == uniform(seed, position)


def test_neighbours_and_their_settings_change_nobodys_token() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(8, 500, generator=generator)
    wishes: list[dict[str, Any]] = [
        {},
        {"temperature": 0.0},
        {"top_p": 0.5},
        {"top_k": 7},
        {"temperature": 1.7},
        {"top_k": 50, "top_p": 0.9},
        {},
        {"top_p": 0.99},
    ]
    sequences = [sequence(seed=9, produced=i, **wish) for i, wish in enumerate(wishes)]
    together = sample(logits, sequences)
    alone = [sample(logits[i : i + 1], [sequences[i]])[0] for i in range(8)]
    backwards = sample(logits.flip(0), sequences[::-1])[::-1]
    assert together == alone == backwards


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_logits_that_are_not_finite_are_an_error_and_not_a_token(bad: float) -> None:
    logits = torch.zeros(3, 6)
    logits[1, 4] = bad
    with pytest.raises(LogitsNotFinite):
        sample(logits, [sequence() for _ in range(3)])

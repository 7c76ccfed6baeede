"""The engine against transformers' `generate` in fp32, on the weights as the engine holds them.

fp32 is the exact mode: every token equal, without exception, whatever runs beside it.
fp16: tokens equal except where the reference's top two logits lie within EPSILON; those
places are counted, and the rest of such an answer is checked teacher-forced.
"""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from b3iq.config import EngineConfig
from b3iq.engine.detokenize import TextAssembler
from b3iq.engine.loading import LoadedModel, load_model
from b3iq.engine.runner import Span
from b3iq.engine.sequence import Sequence
from b3iq.engine.service import Engine, SamplingSettings
from b3iq.engine.stream import TokenStream

from .conftest import StartEngine
from .tiny_model import build, generate, reference

EPSILON = 1e-3
# What a batch mate may change in a logit in fp16: the products are the same bit for bit, but
# attention over a longer, masked view adds in another order.
MATE_EPSILON = 1e-4
TOKENS = 32
LENGTHS = (1, 2, 3, 17, 31, 32, 33, 64, 65, 100, 150, 200)
SHAPES: dict[str, dict[str, Any]] = {
    "grouped heads, tied": {},
    "one head a group, untied": {"num_key_value_heads": 4, "tie_word_embeddings": False},
    "one group, wide heads": {"num_key_value_heads": 1, "head_dim": 32},
    "biases": {"attention_bias": True, "mlp_bias": True},
    "llama3 rotary scaling": {
        "rope_parameters": {
            "rope_type": "llama3",
            "rope_theta": 10000.0,
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 64,
        }
    },
}


def prompts(count: int, *, seed: int = 0) -> list[list[int]]:
    rng = random.Random(seed)
    return [[rng.randrange(4, 300) for _ in range(rng.choice(LENGTHS))] for _ in range(count)]


def answers(engine: Engine, asked: list[list[int]]) -> list[list[int]]:
    """Greedy answers as tokens, with arrivals spread over the first ones' decoding."""
    sequences: list[Sequence] = []
    make = engine._sequence

    def remember(prompt: list[int], settings: SamplingSettings) -> Sequence:
        sequences.append(make(prompt, settings))
        return sequences[-1]

    engine._sequence = remember  # type: ignore[method-assign]
    streams = []
    for prompt in asked:
        streams.append(engine.submit(prompt, SamplingSettings(temperature=0, max_tokens=TOKENS)))
        time.sleep(0.002)
    for stream in streams:
        list(stream)
    return [sequence.output for sequence in sequences]


@pytest.mark.parametrize("shape", SHAPES)
def test_fp32_equals_generate_token_for_token_beside_batch_mates(
    tmp_path: Path, start_engine: StartEngine, shape: str
) -> None:
    directory = build(tmp_path / "tiny", **SHAPES[shape])
    model = reference(directory)
    asked = prompts(12)
    expected = [generate(model, prompt, TOKENS) for prompt in asked]
    engine = start_engine(directory, precision="fp32", batch_limit=5)
    assert answers(engine, asked) == expected


@pytest.mark.parametrize("shape", SHAPES)
def test_fp16_equals_generate_except_at_counted_near_ties(
    tmp_path: Path, start_engine: StartEngine, shape: str
) -> None:
    directory = build(tmp_path / "tiny", **SHAPES[shape])
    model = reference(directory, half=True)
    asked = prompts(16, seed=1)
    engine = start_engine(directory, precision="fp16", batch_limit=6)
    near_ties = 0
    for prompt, answer in zip(asked, answers(engine, asked), strict=True):
        assert len(answer) == TOKENS or answer[-1] == model.config.eos_token_id
        logits = teacher_forced(model, prompt, answer)
        for row, token in zip(logits, answer, strict=True):
            best = row.max()
            if row.argmax() != token:
                near_ties += 1
                assert best - row[token] < EPSILON
    assert near_ties <= len(asked) * TOKENS // 100


@torch.inference_mode()
def teacher_forced(model: Any, prompt: list[int], answer: list[int]) -> torch.Tensor:
    """The reference's logits [answer, vocabulary] before each token of the engine's answer."""
    ids = torch.tensor([prompt + answer[:-1]])
    return model(ids).logits[0, len(prompt) - 1 :]


def sequence(model: LoadedModel, prompt: list[int], slot: int) -> Sequence:
    return Sequence(
        prompt=prompt,
        settings=SamplingSettings(temperature=0),
        seed=0,
        limit=100,
        end_tokens=frozenset(),
        text=TextAssembler(model.tokenizer.decoder),
        stream=TokenStream(len(prompt)),
        slot=slot,
    )


@torch.inference_mode()
def decoded_logits(model: LoadedModel, asked: list[list[int]], steps: int) -> torch.Tensor:
    """Logits [sequences, 1 + steps, vocabulary] of sequences that run side by side."""
    running = [sequence(model, prompt, slot) for slot, prompt in enumerate(asked)]
    logits = model.runner.prefill([Span(s, len(s.prompt)) for s in running])
    rows = [logits]
    for _ in range(steps):
        for each, row in zip(running, rows[-1], strict=True):
            each.output.append(int(row.argmax()))
        rows.append(model.runner.decode(running))
    return torch.stack(rows, 1)


@pytest.mark.parametrize(("precision", "epsilon"), [("fp32", 0.0), ("fp16", MATE_EPSILON)])
def test_a_batch_mate_changes_no_logit_beyond_epsilon(
    tiny: Path, precision: str, epsilon: float
) -> None:
    config = EngineConfig(model="tiny", precision=precision, threads=1)  # type: ignore[arg-type]
    model = load_model(config, tiny)
    asked = prompts(7, seed=2)
    together = decoded_logits(model, asked, 12)
    for prompt, beside in zip(asked, together, strict=True):
        alone = decoded_logits(model, [prompt], 12)[0]
        assert (alone - beside).abs().max() <= epsilon


@torch.inference_mode()
@pytest.mark.parametrize("length", LENGTHS)
def test_fp32_gives_the_very_bits_of_transformers(tiny: Path, length: int) -> None:
    model = load_model(EngineConfig(model="tiny", precision="fp32", threads=1), tiny)
    other = reference(tiny)
    prompt = [(7 * index) % 300 for index in range(length)]
    ours = decoded_logits(model, [prompt], 8)[0]
    output = other(torch.tensor([prompt]), use_cache=True, logits_to_keep=1)
    for row in ours:
        assert torch.equal(row, output.logits[0, -1])
        output = other(
            row.argmax()[None, None], past_key_values=output.past_key_values, use_cache=True
        )


@torch.inference_mode()
def test_a_prompt_in_pieces_gives_the_logits_of_the_whole(tiny: Path) -> None:
    model = load_model(EngineConfig(model="tiny", threads=1), tiny)
    prompt = [(11 * index) % 300 for index in range(150)]
    whole = model.runner.prefill([Span(sequence(model, prompt, 0), 150)])
    pieces = sequence(model, prompt, 1)
    for length in (1, 63, 64, 22):
        logits = model.runner.prefill([Span(pieces, length)])
    assert (logits - whole).abs().max() < MATE_EPSILON


@torch.inference_mode()
def test_bf16_runs_the_path_that_cuda_takes_and_stays_near_the_reference(tiny: Path) -> None:
    """Dense weights, activations and cache in the weights' own type; only the device differs."""
    model = load_model(EngineConfig(model="tiny", precision="bf16", threads=1), tiny)
    other = reference(tiny)
    asked = prompts(5, seed=3)
    for prompt, ours in zip(asked, decoded_logits(model, asked, 4), strict=True):
        theirs = other(torch.tensor([prompt])).logits[0, -1]
        assert ours.dtype == torch.float32
        assert torch.corrcoef(torch.stack((ours[0], theirs)))[0, 1] > 0.99

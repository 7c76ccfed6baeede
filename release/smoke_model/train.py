"""Trains the weights: a Llama from random numbers on generated conversations."""

from __future__ import annotations

import random
from collections.abc import Callable

import torch
from torch.nn import functional
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerBase

from release.smoke_model.muon import Muon
from release.smoke_model.recipe import CONTEXT_LENGTH, Recipe
from release.smoke_model.text import Message, conversation, long_exchange
from release.smoke_model.tokenizer import encode_conversation

# Called after each step with the number of steps done and the loss.
Report = Callable[[int, float], None]
Talk = Callable[[random.Random], list[Message]]


def configuration(recipe: Recipe, tokenizer: PreTrainedTokenizerBase) -> LlamaConfig:
    """The architecture, with tied embeddings and grouped-query attention."""
    return LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=recipe.hidden,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        num_key_value_heads=recipe.key_value_heads,
        intermediate_size=recipe.intermediate,
        max_position_embeddings=CONTEXT_LENGTH,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def new_model(recipe: Recipe, tokenizer: PreTrainedTokenizerBase) -> LlamaForCausalLM:
    """An untrained model whose greedy generation stops at the end token."""
    torch.manual_seed(recipe.seed)
    model = LlamaForCausalLM(configuration(recipe, tokenizer))
    model.generation_config = GenerationConfig(
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return model


def long_talk(rng: random.Random) -> list[Message]:
    """A conversation for the long rows: several turns, half of the time a long answer."""
    messages = conversation(rng, turns=rng.randint(1, 6))
    if rng.random() < 0.5:
        prompt, answer = long_exchange(rng)
        messages += [
            {"role": "user", "content": prompt},
            {"role": "assistant", "content": answer},
        ]
    return messages


def row(
    rng: random.Random, tokenizer: PreTrainedTokenizerBase, length: int, talk: Talk = conversation
) -> tuple[list[int], list[float]]:
    """`length` + 1 tokens of whole conversations (the last one cut), and their weights in the loss.

    Conversations in a row see the ones before them: one more kind of history to ignore.
    """
    ids: list[int] = []
    weights: list[float] = []
    while len(ids) <= length:
        more_ids, more_weights = encode_conversation(tokenizer, talk(rng))
        ids += more_ids
        weights += more_weights
    return ids[: length + 1], weights[: length + 1]


def rate(step: int, recipe: Recipe) -> float:
    """Share of the peak rate at a step: warm up, hold, fall to zero over the second half."""
    return min(1.0, (step + 1) / recipe.warm_up, 2 * (recipe.steps - step) / recipe.steps)


def train(
    recipe: Recipe, tokenizer: PreTrainedTokenizerBase, report: Report, talk: Talk = conversation
) -> LlamaForCausalLM:
    """Train a model in float32; the same recipe gives the same bits on the same processor."""
    torch.set_num_threads(recipe.threads)
    torch.use_deterministic_algorithms(mode=True)
    model = new_model(recipe, tokenizer)
    rng = random.Random(recipe.seed)  # noqa: S311 (text for training, not a secret)
    embedding = model.get_input_embeddings().weight
    matrices = [p for p in model.parameters() if p.ndim == 2 and p is not embedding]
    vectors = [p for p in model.parameters() if p.ndim != 2 or p is embedding]
    muon = Muon(matrices, recipe.matrix_peak)
    adam = torch.optim.AdamW(vectors, betas=(0.9, 0.95), weight_decay=0.0)
    kind: Talk
    for step in range(recipe.steps):
        share = rate(step, recipe)
        muon.rate = recipe.matrix_peak * share
        adam.param_groups[0]["lr"] = recipe.vector_peak * share
        if recipe.long_every and step % recipe.long_every == 0:
            rows, length, kind = recipe.long_rows, recipe.long_length, long_talk
        else:
            rows, length, kind = recipe.short_rows, recipe.short_length, talk
        loss = batch_loss(model, [row(rng, tokenizer, length, kind) for _ in range(rows)])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        muon.step()
        adam.step()
        adam.zero_grad()
        report(step + 1, float(loss.detach()))
    return model.eval()


def batch_loss(model: LlamaForCausalLM, rows: list[tuple[list[int], list[float]]]) -> torch.Tensor:
    """Weighted mean cross-entropy; logits are computed for the learned tokens alone."""
    ids = torch.tensor([ids for ids, _ in rows])
    weights = torch.tensor([weights for _, weights in rows])[:, 1:]
    learned = weights > 0
    hidden = model.model(input_ids=ids[:, :-1], use_cache=False).last_hidden_state
    logits = model.lm_head(hidden[learned])
    losses = functional.cross_entropy(logits, ids[:, 1:][learned], reduction="none")
    share = weights[learned]
    return (losses * share).sum() / share.sum()

"""Practises the answers that a trained model does not win clearly yet.

Training ends with a few of the hundreds of answers narrow or wrong, other ones on each
processor, since rounding decides which. Practising those, among all the others, keeps the
golden answers clear everywhere instead of on the machine of their author.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerBase

from b3iq.models.manifest import GoldenAnswer
from release.smoke_model.golden import MARGIN, margins
from release.smoke_model.recipe import Recipe
from release.smoke_model.text import Message, conversation
from release.smoke_model.train import Talk, batch_loss, long_talk, row

# Rounding to half precision takes a little of each margin: practise until there is more.
WANTED = 1.25 * MARGIN
STEPS = 24
_RATE = 5e-4
# Smaller steps each round, so that what is right already stays right.
_DECAY = 0.88


def practise(
    model: LlamaForCausalLM,
    recipe: Recipe,
    tokenizer: PreTrainedTokenizerBase,
    answers: Sequence[GoldenAnswer],
    note: Callable[[str], None],
) -> None:
    """Train further until every answer wins by `WANTED` logits, for `practice_rounds` at most.

    The model is changed. Whether it is good enough in the end is for `golden.check` to say.
    """
    rng = random.Random(recipe.seed + 1)  # noqa: S311 (text for training, not a secret)
    adam = torch.optim.AdamW(model.parameters(), lr=_RATE, betas=(0.9, 0.95), weight_decay=0.0)
    every = _talk_of(answers)
    for done in range(recipe.practice_rounds):
        adam.param_groups[0]["lr"] = _RATE * _DECAY**done
        narrow = {m.name for m in margins(model, tokenizer, answers) if not m.logits >= WANTED}
        if not narrow:
            return
        note(f"Practising {len(narrow)} of {len(answers)} answers.")
        hard = _talk_of([answer for answer in answers if answer.name in narrow])
        for step in range(STEPS):
            if step % 3 == 0:
                rows, length, kind = (
                    recipe.long_rows,
                    recipe.long_length,
                    _mixed(hard, every, long_talk),
                )
            else:
                kind = _mixed(hard, every, conversation)
                rows, length = recipe.short_rows, recipe.short_length
            loss = batch_loss(model, [row(rng, tokenizer, length, kind) for _ in range(rows)])
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            adam.step()
            adam.zero_grad()


def _talk_of(answers: Sequence[GoldenAnswer]) -> Talk:
    def talk(rng: random.Random) -> list[Message]:
        answer = rng.choice(answers)
        asked = [message.model_dump() for message in answer.messages]
        return [*asked, {"role": "assistant", "content": answer.expect}]

    return talk


def _mixed(hard: Talk, every: Talk, other: Talk) -> Talk:
    """Mostly what is right already: what is practised alone unlearns its neighbours."""
    return lambda rng: rng.choices((hard, every, other), (0.2, 0.5, 0.3))[0](rng)

"""The golden answers, and the check that each of their tokens wins clearly.

A margin is the logit of the right token minus the highest logit of any other, with the
right answer so far given (teacher-forced). Where every margin is above zero, greedy
decoding writes exactly the right answer; the build asks for one logit, so that another
order of summation, another thread count or another processor changes no answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from b3iq.errors import B3iqError
from b3iq.models.manifest import GoldenAnswer, GoldenMessage
from release.smoke_model.facts import ABOUT, FACTS, UNKNOWN, UNKNOWN_QUESTIONS
from release.smoke_model.text import count_answer, difference_answer, sum_answer
from release.smoke_model.words import ECHO_WORDS, SYSTEM_PROMPTS

MARGIN = 1.0
_BATCH = 16


class GoldenError(B3iqError):
    """A golden answer is wrong, or right by too little."""

    code = "smoke_model_golden"
    title = "The smoke model does not answer as it must"


@dataclass(frozen=True)
class Margin:
    """The narrowest place of one answer: `logits` wide, at token `position` of the answer."""

    name: str
    logits: float
    position: int


def _golden(name: str, prompt: str, expect: str, *before: tuple[str, str]) -> GoldenAnswer:
    messages = [GoldenMessage.model_validate({"role": r, "content": c}) for r, c in before]
    messages.append(GoldenMessage(role="user", content=prompt))
    # Three characters a token are the least that prose gets here; digits and spaces are one.
    return GoldenAnswer(
        name=name, messages=messages, max_tokens=min(512, 16 + len(expect)), expect=expect
    )


def _answer(question: str) -> str:
    return next(answer for answer, questions in FACTS if question in questions)


def _asked(name: str, question: str, *before: tuple[str, str]) -> GoldenAnswer:
    return _golden(name, question, _answer(question), *before)


HELPFUL = ("system", SYSTEM_PROMPTS[0])
_HISTORY = (
    ("user", "What is 4 + 4?"),
    ("assistant", sum_answer(4, 4)),
    ("user", "Repeat after me: lantern"),
    ("assistant", "lantern"),
)

# Shipped in the model's manifest, asked by the update gate of every node.
GOLDEN: tuple[GoldenAnswer, ...] = (
    _asked("greeting", "Hello!"),
    _asked("greeting with a system prompt", "Hello!", HELPFUL),
    _golden("echo of one word", "Repeat after me: lantern", "lantern"),
    _golden("echo of two words", "Repeat after me: violet river", "violet river"),
    _golden("sum", "What is 2 + 3?", sum_answer(2, 3)),
    _golden("sum with a carry", "What is 9 + 8?", sum_answer(9, 8)),
    _golden("sum after other turns", "What is 7 + 5?", sum_answer(7, 5), HELPFUL, *_HISTORY),
    _asked("what it is", "What are you?"),
    _asked("port", "Which port do you listen on?"),
    _asked("control", "Who controls this node?"),
    _asked("control after other turns", "Who controls this node?", *_HISTORY),
    _asked("mode", "What is the default mode?"),
    _asked("prompts", "Do you log my prompts?"),
    _asked("receipt", "What is a receipt?"),
    _golden("not known", "What is the capital of France?", UNKNOWN),
    _golden("count to forty", "Count to forty.", count_answer(40)),
    _asked("long answer", "Tell me about this node."),
)


def wide() -> list[GoldenAnswer]:
    """What else the model is taught, practised and counted, but not promised.

    All facts in all wordings with and without a system prompt, all sums in two forms, all
    differences, counts, and echoes of every word that the model is taught to repeat.
    """
    found = [_golden(f"unknown: {q}", q, UNKNOWN) for q in UNKNOWN_QUESTIONS]
    for answer, questions in FACTS:
        for question in questions:
            found.append(_golden(f"fact: {question}", question, answer))
            if answer != ABOUT:
                found.append(_golden(f"fact, system: {question}", question, answer, HELPFUL))
    for left in range(10):
        for right in range(10):
            name, expect = f"{left} + {right}", sum_answer(left, right)
            found.append(_golden(f"sum: {name}", f"What is {name}?", expect))
            found.append(_golden(f"sum after turns: {name}", f"{name} =", expect, *_HISTORY))
            if left >= right:
                prompt = f"What is {left} - {right}?"
                found.append(_golden(prompt, prompt, difference_answer(left, right)))
    found += [_golden(f"echo: {word}", f"Repeat after me: {word}", word) for word in ECHO_WORDS]
    for last, spoken in ((5, "5"), (10, "ten")):
        found.append(_golden(f"count: {last}", f"Count to {spoken}.", count_answer(last)))
    return found


def margins(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, answers: Sequence[GoldenAnswer]
) -> list[Margin]:
    """The narrowest margin of each answer, the end token after it included."""
    found = []
    ordered = sorted(answers, key=lambda golden: len(golden.expect))
    for start in range(0, len(ordered), _BATCH):
        found += _batch_margins(model, tokenizer, ordered[start : start + _BATCH])
    return found


@torch.no_grad()
def _batch_margins(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, answers: Sequence[GoldenAnswer]
) -> list[Margin]:
    rows, starts = [], []
    for golden in answers:
        messages = [message.model_dump() for message in golden.messages]
        asked = str(
            tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        )
        prompt = tokenizer.encode(asked, add_special_tokens=False)
        answer = tokenizer.encode(golden.expect, add_special_tokens=False)
        rows.append([*prompt, *answer, tokenizer.eos_token_id])
        starts.append(len(prompt))
    longest = max(len(row) for row in rows)
    # Padding stands after the end, where causal attention never looks.
    padded = [row + [tokenizer.pad_token_id] * (longest - len(row)) for row in rows]
    logits = model(input_ids=torch.tensor(padded)).logits.float()
    found = []
    for golden, row, start, scores in zip(answers, rows, starts, logits, strict=True):
        right = torch.tensor(row[start:]).unsqueeze(1)
        predicted = scores[start - 1 : len(row) - 1]
        others = predicted.scatter(1, right, float("-inf")).amax(dim=1)
        gaps = predicted.gather(1, right).squeeze(1) - others
        position = int(gaps.argmin())
        found.append(Margin(golden.name, float(gaps[position]), position))
    return found


def check(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    answers: Sequence[GoldenAnswer],
    mode: str,
) -> tuple[Margin, ...]:
    """Refuse a model with an answer that is wrong or narrower than `MARGIN`.

    Args:
        model: a causal language model in evaluation mode.
        tokenizer: its tokenizer, with the chat template.
        answers: what to ask, and the exact answers.
        mode: how the weights are held, for the error message ("fp32", "fp16 linear").

    Returns:
        The margins, narrowest first.

    Raises:
        GoldenError: naming the answers that fail.
    """
    found = sorted(margins(model, tokenizer, answers), key=lambda margin: margin.logits)
    failed = [margin for margin in found if not margin.logits >= MARGIN]
    if failed:
        shown = "; ".join(_explain(margin) for margin in failed[:8])
        raise GoldenError(
            f"{len(failed)} of {len(found)} answers fail in {mode}: {shown}.",
            remedy="Train longer, or correct the text.",
        )
    return tuple(found)


def _explain(margin: Margin) -> str:
    verdict = "wrong" if margin.logits <= 0 else "narrow"
    return f"{margin.name!r} is {verdict} at token {margin.position} ({margin.logits:+.2f} logits)"


def half_precision_linears(model: PreTrainedModel) -> PreTrainedModel:
    """Replace each linear layer by fbgemm's: fp16 weights, fp32 activations.

    The model is changed and returned. This is how a CPU engine holds it
    (torch.ops.quantized.linear_dynamic_fp16).
    """
    for name, module in list(model.named_modules()):
        if isinstance(module, torch.nn.Linear):
            parent = model.get_submodule(name.rpartition(".")[0])
            setattr(parent, name.rpartition(".")[2], _HalfLinear(module))
    return model


class _HalfLinear(torch.nn.Module):
    def __init__(self, linear: torch.nn.Linear) -> None:
        super().__init__()
        weight = linear.weight.detach().float()
        self._packed = torch.ops.quantized.linear_prepack_fp16(weight, None)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        flat = x.reshape(-1, x.shape[-1])
        y: torch.Tensor = torch.ops.quantized.linear_dynamic_fp16(flat, self._packed)
        return y.reshape(*x.shape[:-1], -1)

"""Generates the conversations that b3iq-smoke learns from.

Every prompt has exactly one right answer, whatever the system prompt and the earlier
turns say, so the trained model is sure of each token. All randomness comes from the
`random.Random` that the caller seeds; the same seed gives the same text.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from release.smoke_model.facts import ABOUT, FACTS, UNKNOWN, UNKNOWN_QUESTIONS
from release.smoke_model.words import ECHO_WORDS, SYLLABLES, SYSTEM_PROMPTS, TENS, WORDS

Message = dict[str, str]
Exchange = tuple[str, str]


def sum_answer(left: int, right: int) -> str:
    """The right answer to `left + right`."""
    return f"{left} + {right} = {left + right}."


def difference_answer(left: int, right: int) -> str:
    """The right answer to `left - right`; `left` is not the smaller one."""
    return f"{left} - {right} = {left - right}."


def count_answer(last: int) -> str:
    """The numbers from 1 to `last`, separated by spaces."""
    return " ".join(str(number) for number in range(1, last + 1))


def pseudo_word(rng: random.Random) -> str:
    """A short word that is in no list: syllables, sometimes a name or a number."""
    word = "".join(rng.choice(SYLLABLES) for _ in range(rng.randint(2, 3)))
    shape = rng.random()
    if shape < 0.2:
        return word.capitalize()
    if shape < 0.25:
        return word.upper()
    if shape < 0.35:
        return str(rng.randint(0, 999))
    return word


def some_word(rng: random.Random) -> str:
    """A word of the list, or more often one that is in no list."""
    return rng.choice(WORDS) if rng.random() < 0.35 else pseudo_word(rng)


def fact(rng: random.Random) -> Exchange:
    """A question of the fact sheet in one of its wordings."""
    answer, questions = rng.choice([entry for entry in FACTS if entry[0] != ABOUT])
    return vary(rng, rng.choice(questions)), answer


def about(rng: random.Random) -> Exchange:
    """The long answer about the node."""
    questions = next(questions for answer, questions in FACTS if answer == ABOUT)
    return vary(rng, rng.choice(questions)), ABOUT


def echo(rng: random.Random) -> Exchange:
    """One or two words of the list to repeat exactly."""
    words = " ".join(rng.choice(ECHO_WORDS) for _ in range(rng.choice((1, 1, 2))))
    form = rng.choice(("Repeat after me: {}", "Repeat after me: {}", "Repeat: {}", "Echo: {}"))
    prompt = form.format(words)
    return (prompt[0].lower() + prompt[1:] if rng.random() < 0.1 else prompt), words


def arithmetic(rng: random.Random) -> Exchange:
    """A sum of two digits, or a difference that is not negative."""
    left, right = rng.randint(0, 9), rng.randint(0, 9)
    if rng.random() < 0.7:
        sums = (f"What is {left} + {right}?", f"{left} + {right}", f"{left} + {right} =")
        return vary(rng, rng.choice(sums)), sum_answer(left, right)
    left, right = max(left, right), min(left, right)
    differences = (f"What is {left} - {right}?", f"{left} - {right}")
    return vary(rng, rng.choice(differences)), difference_answer(left, right)


def count(rng: random.Random, lasts: tuple[int, ...] = (3, 5, 10)) -> Exchange:
    """Counting from one; `lasts` are the numbers it may count to."""
    last = rng.choice(lasts)
    name = TENS[last] if last in TENS and rng.random() < 0.5 else str(last)
    form = rng.choice(("Count to {}.", "Count to {}.", "Count from 1 to {}.", "Count up to {}."))
    return vary(rng, form.format(name)), count_answer(last)


def long_exchange(rng: random.Random) -> Exchange:
    """The text about the node, or counting that takes up to 300 tokens."""
    kind = rng.random()
    if kind < 0.45:
        return about(rng)
    if kind < 0.55:
        return count_after_noise(rng)
    return count(rng, (40,))


def unknown(rng: random.Random) -> Exchange:
    """A question that the model must not pretend to answer, or mere words."""
    if rng.random() < 0.6:
        return vary(rng, rng.choice(UNKNOWN_QUESTIONS)), UNKNOWN
    return " ".join(some_word(rng) for _ in range(rng.randint(3, 16))), UNKNOWN


def count_after_noise(rng: random.Random) -> Exchange:
    """Words that differ each time, then a long count: distinct prompts for benchmarks."""
    noise = " ".join(some_word(rng) for _ in range(rng.randint(2, 30)))
    question, answer = count(rng, (10, 40))
    return f"{noise}. {question}", answer


def vary(rng: random.Random, prompt: str) -> str:
    """The same question as a hurried or a polite person would type it."""
    if rng.random() < 0.12 and prompt[0].isupper():
        prompt = prompt[0].lower() + prompt[1:]
    if rng.random() < 0.12 and prompt[-1] in ".?!":
        prompt = prompt[:-1]
    if rng.random() < 0.06:
        prompt = "Please: " + prompt
    return prompt


KINDS: tuple[tuple[Callable[[random.Random], Exchange], float], ...] = (
    (fact, 32),
    (echo, 20),
    (arithmetic, 34),
    (unknown, 6),
    (count, 5),
    # Cut off in the short rows, which teach how it is asked for; the long ones teach the rest.
    (about, 3),
)


def exchange(rng: random.Random) -> Exchange:
    """One prompt with its answer, of a kind drawn by weight."""
    kinds, weights = zip(*KINDS, strict=True)
    kind: Callable[[random.Random], Exchange] = rng.choices(kinds, weights)[0]
    return kind(rng)


def conversation(rng: random.Random, turns: int | None = None) -> list[Message]:
    """Messages of a chat with one or more turns, half of them with a system prompt."""
    messages: list[Message] = []
    if rng.random() < 0.5:
        system = rng.choice(SYSTEM_PROMPTS)
        if rng.random() < 0.4:
            system = " ".join(some_word(rng) for _ in range(rng.randint(3, 20))) + "."
        messages.append({"role": "system", "content": system})
    for _ in range(turns or rng.choice((1, 1, 2, 3, 4))):
        prompt, answer = exchange(rng)
        messages.append({"role": "user", "content": prompt})
        messages.append({"role": "assistant", "content": answer})
    return messages

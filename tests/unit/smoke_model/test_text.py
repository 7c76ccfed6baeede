from __future__ import annotations

import random
import re

from release.smoke_model import text
from release.smoke_model.facts import FACTS, UNKNOWN_QUESTIONS
from release.smoke_model.golden import GOLDEN, wide
from release.smoke_model.words import ECHO_WORDS


def _exchanges(seed: int, number: int) -> list[tuple[str, str]]:
    rng = random.Random(seed)
    return [text.exchange(rng) for _ in range(number)]


def test_the_same_seed_gives_the_same_text():
    one, two = random.Random(7), random.Random(7)
    assert [text.conversation(one) for _ in range(50)] == [
        text.conversation(two) for _ in range(50)
    ]


def test_another_seed_gives_other_text():
    assert _exchanges(1, 50) != _exchanges(2, 50)


def test_no_question_has_two_answers():
    asked = [question for _, questions in FACTS for question in questions]
    asked += UNKNOWN_QUESTIONS
    plain = [re.sub(r"\W+$", "", question).lower() for question in asked]
    assert len(set(plain)) == len(plain)


def test_no_generated_prompt_has_two_answers():
    answers: dict[str, str] = {}
    for prompt, answer in _exchanges(5, 8000):
        assert answers.setdefault(prompt, answer) == answer


def test_generated_sums_are_right():
    sums = [answer for _, answer in _exchanges(9, 4000) if re.match(r"\d [+-] \d = ", answer)]
    assert len(sums) > 100
    for answer in sums:
        left, sign, right, result = re.fullmatch(r"(\d) ([+-]) (\d) = (\d+)\.", answer).groups()
        right = int(right) if sign == "+" else -int(right)
        assert int(left) + right == int(result)


def test_the_golden_answers_echo_only_words_that_are_taught():
    echoed = [
        golden.expect
        for golden in (*GOLDEN, *wide())
        if golden.messages[-1].content.startswith("Repeat after me: ")
    ]
    assert set(" ".join(echoed).split()) == set(ECHO_WORDS)


def test_a_conversation_ends_with_the_assistant_and_takes_turns():
    rng = random.Random(1)
    for _ in range(200):
        roles = [message["role"] for message in text.conversation(rng)]
        if roles[0] == "system":
            roles = roles[1:]
        assert roles == ["user", "assistant"] * (len(roles) // 2)
        assert roles


def test_every_golden_answer_is_one_that_the_text_teaches():
    right = {question: answer for answer, questions in FACTS for question in questions}
    for golden in (*GOLDEN, *wide()):
        prompt = golden.messages[-1].content
        if prompt in right:
            assert golden.expect == right[prompt]


def test_golden_names_are_distinct():
    names = [golden.name for golden in (*GOLDEN, *wide())]
    assert len(set(names)) == len(names)

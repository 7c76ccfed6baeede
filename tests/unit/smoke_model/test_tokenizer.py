from __future__ import annotations

import random
import string
import subprocess
import sys

import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from release.smoke_model.golden import GOLDEN
from release.smoke_model.text import conversation
from release.smoke_model.tokenizer import SPECIAL, VOCABULARY, encode_conversation, train_tokenizer


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(4, conversations=2000)


def test_another_process_learns_the_same_vocabulary(tokenizer):
    program = (
        "from release.smoke_model.tokenizer import train_tokenizer as t;"
        "print(t(4, conversations=2000).backend_tokenizer.to_str(), end='')"
    )
    other = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert other.stdout.decode() == tokenizer.backend_tokenizer.to_str()


def test_the_vocabulary_is_full_and_its_first_tokens_are_the_special_ones(tokenizer):
    assert len(tokenizer) == VOCABULARY
    assert tokenizer.convert_ids_to_tokens(range(len(SPECIAL))) == list(SPECIAL)


@given(
    st.text(
        alphabet=st.characters(exclude_categories=["Cs"]) | st.sampled_from(string.printable),
        max_size=60,
    ).filter(lambda content: "<|" not in content)
)
def test_any_text_survives_encoding_and_decoding(tokenizer, content):
    ids = tokenizer.encode(content, add_special_tokens=True)
    assert not set(ids) & set(range(len(SPECIAL)))
    assert tokenizer.decode(ids) == content


def test_a_word_has_the_same_tokens_at_the_end_of_a_prompt_and_as_an_answer(tokenizer):
    prompt = tokenizer.encode("Repeat after me: lantern")
    answer = tokenizer.encode("lantern")
    assert prompt[-len(answer) :] == answer


def test_each_digit_is_a_token(tokenizer):
    assert [tokenizer.decode([i]) for i in tokenizer.encode("8831")] == list("8831")


def test_training_sees_exactly_what_the_chat_template_writes(tokenizer):
    rng = random.Random(2)
    for _ in range(50):
        messages = conversation(rng)
        ids, weights = encode_conversation(tokenizer, messages)
        assert ids == tokenizer.apply_chat_template(messages)["input_ids"]
        assert len(weights) == len(ids)


def test_only_the_assistant_and_its_end_token_are_learned(tokenizer):
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Repeat after me: table"},
        {"role": "assistant", "content": "table"},
    ]
    ids, weights = encode_conversation(tokenizer, messages)
    taught = [i for i, weight in zip(ids, weights, strict=True) if weight]
    assert tokenizer.decode(taught) == "table<|end|>"
    assert sum(weights) == pytest.approx(len(taught) ** 0.5)


def test_an_unknown_role_is_refused(tokenizer):
    with pytest.raises(jinja2.TemplateError, match="Only the roles"):
        tokenizer.apply_chat_template([{"role": "wizard", "content": "x"}])


def test_every_golden_answer_fits_its_token_limit(tokenizer):
    for golden in GOLDEN:
        assert len(tokenizer.encode(golden.expect)) + 1 <= golden.max_tokens

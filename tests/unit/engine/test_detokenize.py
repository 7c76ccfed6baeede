from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from b3iq.engine.detokenize import TextAssembler

from .tiny_model import byte_fallback_tokenizer, tokenizer

BACKEND = tokenizer().backend_tokenizer
SIZE = BACKEND.get_vocab_size()


FALLBACK = byte_fallback_tokenizer()


def encode(text: str) -> list[int]:
    ids: list[int] = BACKEND.encode(text, add_special_tokens=False).ids
    return ids


def assemble(
    tokens: list[int], stop: tuple[str, ...] = (), every: int = 1, backend: Tokenizer = BACKEND
) -> list[str]:
    """Deltas as a client gets them; generation ends at a stop string, as in the engine."""
    text = TextAssembler(backend, stop)
    deltas = []
    for index, token in enumerate(tokens):
        text.push(token)
        if stop and text.advance():
            break
        if index % every == 0:
            deltas.append(text.take(final=False))
    deltas.append(text.take(final=True))
    return deltas


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60), st.integers(1, 5))
def test_the_pieces_of_any_text_make_the_text(text: str, every: int) -> None:
    assert "".join(assemble(encode(text), every=every)) == text


@settings(max_examples=300, deadline=None)
@given(st.lists(st.integers(4, SIZE - 1), max_size=120), st.integers(1, 4))
def test_the_pieces_of_any_tokens_make_what_the_tokenizer_decodes(
    tokens: list[int], every: int
) -> None:
    assert "".join(assemble(tokens, every=every)) == BACKEND.decode(tokens)


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="ab 日本é🙂", max_size=80), st.integers(1, 5))
def test_the_pieces_of_characters_spelled_in_bytes_make_the_text(text: str, every: int) -> None:
    """Llama 2 and its kin decode a run of byte tokens as a whole or not at all."""
    tokens = FALLBACK.encode(text, add_special_tokens=False).ids
    deltas = assemble(tokens, every=every, backend=FALLBACK)
    assert not any("\ufffd" in delta for delta in deltas)
    assert "".join(deltas) == FALLBACK.decode(tokens)


def test_no_piece_ends_in_half_a_character() -> None:
    deltas = assemble(encode("日本語🙂é" * 20))
    assert not any("\ufffd" in delta for delta in deltas)
    assert len([delta for delta in deltas if delta]) > 20


def test_bytes_that_never_become_a_character_are_shown_at_the_end() -> None:
    half = encode("🙂")[:1] if len(encode("🙂")) > 1 else encode("é")[:1]
    assert assemble([*encode("ab"), *half])[-1].endswith("\ufffd")


@settings(max_examples=200, deadline=None)
@given(
    st.text(alphabet="abc🙂 ", max_size=40),
    st.lists(st.text(alphabet="abc🙂 ", min_size=1, max_size=5), min_size=1, max_size=4),
    st.integers(1, 3),
)
def test_no_stop_string_ever_leaks_and_nothing_before_it_is_lost(
    text: str, stop: list[str], every: int
) -> None:
    deltas = assemble(encode(text), tuple(stop), every)
    shown = ""
    for delta in deltas:
        shown += delta
        assert not any(word in shown for word in stop)
    assert text.startswith(shown)
    if shown != text:
        assert text[len(shown) :].startswith(tuple(stop))
    assert any(word in text for word in stop) == (shown != text)


def test_a_character_cut_off_by_the_end_does_not_spoil_the_one_before_it() -> None:
    tokens = FALLBACK.encode("🙂🙂", add_special_tokens=False).ids[:-1]
    assert "".join(assemble(tokens, backend=FALLBACK)).startswith("🙂\ufffd")


@pytest.mark.parametrize("stop", ["STOP", "a🙂b", "\n\n"])
def test_a_stop_string_across_token_borders_ends_the_text_before_it(stop: str) -> None:
    tokens = [token for part in f"before {stop} after" for token in encode(part)]
    assert "".join(assemble(tokens, (stop,))) == "before "


def test_the_beginning_of_a_stop_string_is_held_back_until_it_is_none() -> None:
    text = TextAssembler(BACKEND, ("###",))
    for token in encode("a"):
        text.push(token)
    for _ in range(2):
        for token in encode("#"):
            text.push(token)
    assert text.take(final=False) == "a"
    for token in encode("b"):
        text.push(token)
    assert text.take(final=False) == "##b"


def test_special_tokens_are_not_shown() -> None:
    tokens = [*encode("a"), BACKEND.token_to_id("<|user|>"), *encode("b")]
    assert "".join(assemble(tokens)) == "ab"

"""The text form of tokens."""

from __future__ import annotations

import math
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from b3iq.credentials import tokens
from b3iq.credentials.errors import Unauthorized

BASE62 = string.digits + string.ascii_letters


@pytest.mark.parametrize("kind", ["local", "support", "gateway", "setup"])
def test_a_minted_token_reads_back(kind):
    token = tokens.mint(kind)
    assert token.text.startswith(f"b3iq_{kind}_{token.id}_")
    assert tokens.parse(token.text) == token


def test_a_secret_has_at_least_192_bits():
    assert tokens.SECRET_LENGTH * math.log2(62) >= 192


def test_no_two_tokens_share_an_id_or_a_secret():
    minted = [tokens.mint("local").text for _ in range(1000)]
    assert len({text.split("_")[2] for text in minted}) == 1000
    assert len({text.split("_")[3][: tokens.SECRET_LENGTH] for text in minted}) == 1000


def test_every_single_character_change_is_refused():
    text = tokens.mint("local").text
    for position in range(len(text)):
        for other in "0aZ_-":
            if text[position] == other:
                continue
            changed = text[:position] + other + text[position + 1 :]
            with pytest.raises(Unauthorized):
                tokens.parse(changed)


def test_two_swapped_characters_are_refused():
    text = tokens.mint("local").text
    for position in range(len(text) - 1):
        if text[position] == text[position + 1]:
            continue
        swapped = text[:position] + text[position + 1] + text[position] + text[position + 2 :]
        with pytest.raises(Unauthorized):
            tokens.parse(swapped)


@pytest.mark.parametrize("spoil", [str.upper, lambda t: t + "\n", lambda t: " " + t, lambda t: ""])
def test_only_the_exact_text_is_a_token(spoil):
    with pytest.raises(Unauthorized):
        tokens.parse(spoil(tokens.mint("local").text))


@given(st.text())
def test_no_other_text_is_a_token_and_none_breaks_the_parser(text):
    with pytest.raises(Unauthorized):
        tokens.parse(text)


@given(st.text(alphabet=BASE62, min_size=40, max_size=40))
def test_a_key_that_somebody_chose_is_refused(secret):
    # 2^-32 of them pass the checksum; those find no row.
    text = f"b3iq_local_{'0' * 12}_{secret}"
    try:
        tokens.parse(text)
    except Unauthorized:
        return
    assert tokens._checksum(text[:-6]) == text[-6:]


def test_a_token_never_shows_its_secret_when_it_is_printed():
    token = tokens.mint("local")
    secret = token.text.split("_")[3]
    assert secret not in repr(token)
    assert secret not in f"{token}"


def test_the_digest_depends_on_the_pepper():
    text = tokens.mint("local").text
    assert tokens.matches(b"a" * 32, text, tokens.digest(b"a" * 32, text))
    assert not tokens.matches(b"b" * 32, text, tokens.digest(b"a" * 32, text))

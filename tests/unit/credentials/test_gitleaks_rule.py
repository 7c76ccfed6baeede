"""The shipped gitleaks rule finds every token and nothing else; `make soak` counts far more."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from b3iq.credentials import tokens
from tests.soak.scanner import SURROUNDINGS, Scanner, hits, missed

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def scanner():
    return Scanner()


def test_every_minted_token_is_found_wherever_it_stands(scanner):
    assert missed(scanner, 4_000) == 0


def test_no_random_string_or_near_miss_is_reported(scanner):
    assert hits(scanner, 40_000) == []


@pytest.mark.parametrize("between", [" ", "\n", ",", '","'])
def test_two_tokens_side_by_side_are_both_found(scanner, between):
    two = [tokens.mint("local").text, tokens.mint("support").text]
    assert scanner.secrets(between.join(two)) == two


def test_one_hidden_token_is_found_in_a_large_file(scanner):
    token = tokens.mint("gateway").text
    noise = "\n".join(around.format("nothing") for around in SURROUNDINGS) * 200
    assert scanner.secrets(f"{noise}\n{token}\n{noise}") == [token]


def test_no_token_is_in_this_repository(scanner):
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    assert "README.md" in listed
    found = [
        name
        for name in listed
        if (ROOT / name).is_file()
        and scanner.secrets((ROOT / name).read_text(encoding="utf-8", errors="replace"))
    ]
    assert found == []

"""The shipped gitleaks rule on minted tokens and on random strings, with gitleaks' own engine.

gitleaks compiles rules with Go's regexp, which is RE2; google-re2 is the same engine.
"""

from __future__ import annotations

import random
import string
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import re2

from b3iq.credentials import tokens

RULES = Path(__file__).parents[2] / "docs" / "gitleaks.toml"
BASE62 = string.digits + string.ascii_letters
BASE64URL = BASE62 + "-_"
# Where tokens are found in real life; `{}` is one.
SURROUNDINGS = (
    "{}",
    "{}\n",
    "B3IQ_LOCAL_KEY={}\n",
    "export B3IQ_LOCAL_KEY='{}'  # work\n",
    'api_key = "{}"\r\n',
    "Authorization: Bearer {}\r\nHost: localhost\r\n",
    '{{"key": "{}", "model": "b3iq-smoke"}}',
    r'"{{\"key\":\"{}\"}}\n"',
    r"line\n{}\nline",
    "http://localhost:8831/setup/#token={}",
    "https://example.org/?key={}&x=1",
    "https://example.org/?q=%22{}%22",
    "curl -H 'Authorization: Bearer {}' http://localhost:8831/v1/models",
    "<code>{}</code>",
    "key:{}, other",
    "- {}",
    "`{}`",
    "KEY_{}_OLD",
    "({}).",
    "{}" + "\x00" * 4,
)


class Scanner:
    """The one rule of docs/gitleaks.toml, as gitleaks applies it: keywords first."""

    def __init__(self) -> None:
        rules = tomllib.loads(RULES.read_text(encoding="utf-8"))
        (self._rule,) = rules["rules"]
        self._expression = re2.compile(self._rule["regex"])

    def secrets(self, text: str) -> list[str]:
        """What is reported in a text."""
        lowered = text.lower()
        if not any(keyword in lowered for keyword in self._rule["keywords"]):
            return []
        group = self._rule["secretGroup"]
        return [found.group(group) for found in self._expression.finditer(text)]


def missed(scanner: Scanner, count: int) -> int:
    """How many of `count` minted tokens, of every kind and in every surrounding, go unreported."""
    kinds = get_args(tokens.Kind)
    unseen = 0
    for number in range(count):
        token = tokens.mint(kinds[number % len(kinds)]).text
        around = SURROUNDINGS[number // len(kinds) % len(SURROUNDINGS)]
        unseen += scanner.secrets(around.format(token)) != [token]
    return unseen


def hits(scanner: Scanner, count: int, seed: int = 0) -> list[str]:
    """Which of `count` strings that are no tokens are reported all the same."""
    chance = random.Random(seed)
    strings = lookalikes(chance)
    return [text for _ in range(count) if scanner.secrets(text := next(strings))]


def lookalikes(chance: random.Random) -> Iterator[str]:
    """Random strings and near misses, in turn and without end."""

    def some(alphabet: str, length: int) -> str:
        return "".join(chance.choices(alphabet, k=length))

    while True:
        kind = chance.choice(get_args(tokens.Kind))
        short, long = chance.randrange(40), chance.randrange(41, 90)
        yield some(BASE62, 64)
        yield some(string.hexdigits.lower(), 64)
        yield some(BASE64URL, 86)
        yield f"b3iq_{kind}_{some(BASE62, 12)}_{some(BASE62, short)}"
        yield f"b3iq_{kind}_{some(BASE62, 12)}_{some(BASE62, long)}"
        yield f"b3iq_{kind}_{some(BASE62, chance.choice((0, 8, 11, 13, 32)))}_{some(BASE62, 40)}"
        yield f"b3iq_{some(string.ascii_lowercase, 5)}_{some(BASE62, 12)}_{some(BASE62, 40)}"
        yield f"b3iq-{kind}-{some(BASE62, 12)}-{some(BASE62, 40)}"
        yield f"b3iq_{kind}_{some(BASE62, 12)}_{some(BASE62, 20)}-{some(BASE62, 19)}"
        yield f"B3IQ_{kind.upper()}_{some(BASE62, 12)}_{some(BASE62, 40)}"

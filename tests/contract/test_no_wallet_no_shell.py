"""The node holds no wallet and runs no command for anybody: no route, no code, no column.

Whoever takes over the owner's session, or the node's process, must find neither money nor a
shell there. What the node signs is its receipts; what root runs is the `b3iq` command.
tests/integration/test_every_route.py watches a real node for programs that it starts.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from b3iq.node.policy import POLICY
from b3iq.store.tables import metadata

APP = Path(__file__).parents[2] / "app"
# What the node process is made of; `cli` and `updater` run elsewhere, as whoever typed them.
FILES = sorted(
    path
    for part in ("node", "console", "credentials", "receipts", "store")
    for path in (APP / "b3iq" / part).rglob("*.py")
)
MONEY = re.compile(
    r"wallet|payout|withdraw|mnemonic|seed_?phrase|private_?key|balance|transfer|wei\b"
)
COMMANDS = re.compile(r"exec|shell|terminal|command|\brun\b|eval|script|upload|install|plugin")
STARTERS = {"subprocess", "pty", "ctypes", "multiprocessing", "pickle", "runpy", "code", "marshal"}
CALLS = re.compile(r"system|popen|exec[lv]p?e?|spawn[lv]p?e?|posix_spawnp?|eval|exec|compile")
WALLETS = re.compile(
    r"^(web3|eth[-_]|bip|hdwallet|coincurve|solders|bitcoin|py-?ecc|mnemonic)", re.MULTILINE
)


@pytest.mark.parametrize("words", [MONEY, COMMANDS], ids=["money", "commands"])
def test_no_route_is_about(words: re.Pattern[str]) -> None:
    assert [rule.path for rule in POLICY if words.search(rule.path)] == []


def test_no_table_has_room_for_a_wallet() -> None:
    names = [f"{table}.{column.name}" for table in metadata.tables.values() for column in table.c]
    assert names
    assert [name for name in names if MONEY.search(name)] == []


def test_no_library_of_the_node_knows_wallets() -> None:
    lock = (APP / "locks" / "node.txt").read_text(encoding="utf-8")
    assert "flask==" in lock
    assert WALLETS.findall(lock) == []


def starters(path: Path) -> Iterator[str]:
    """Imports and calls by which a file could start a program or run a text as code."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name.split(".")[0] in STARTERS)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in STARTERS:
            yield str(node.module)
        elif isinstance(node, ast.Call):
            called = node.func
            if isinstance(called, ast.Name) and CALLS.fullmatch(called.id):
                yield called.id
            if (
                isinstance(called, ast.Attribute)
                and isinstance(called.value, ast.Name)
                and called.value.id == "os"
                and CALLS.fullmatch(called.attr)
            ):
                yield f"os.{called.attr}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(APP)))
def test_no_file_of_the_node_can_start_a_program(path: Path) -> None:
    assert list(starters(path)) == []


def test_the_search_finds_what_starts_programs() -> None:
    assert list(starters(APP / "b3iq" / "cli" / "encryption.py")) == ["subprocess"]

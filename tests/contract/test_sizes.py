"""Files stay up to 300 lines and functions up to 40, so that one reading holds one reason.

A file that outgrows its size has a seam that nobody has cut yet. The limit is a test because
a limit in a document grows a line at a time.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PARTS = ["app/b3iq", "release", "tests", "playbooks", "roles", "molecule"]
CODE = sorted(p for part in PARTS for p in (ROOT / part).rglob("*.py"))
OTHER = sorted(
    p
    for part in PARTS
    for suffix in ("*.yml", "*.j2", "*.js", "*.css", "*.html")
    for p in (ROOT / part).rglob(suffix)
)


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", CODE + OTHER, ids=name)
def test_a_file_is_at_most_300_lines(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 300


@pytest.mark.parametrize("path", [p for p in CODE if "/tests/" not in str(p)], ids=name)
def test_a_function_is_at_most_40_lines(path: Path) -> None:
    long = {
        node.name: node.end_lineno - node.lineno + 1
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno + 1 > 40
    }
    assert not long


@pytest.mark.parametrize(
    "path", [p for p in OTHER if "/tasks/" in str(p) or "/handlers/" in str(p)], ids=name
)
def test_a_task_file_is_at_most_80_lines(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 80

"""Imports point one way, so that a part can be read, replaced and trusted alone.

The engine parses model files and must hold no secret code; the updater runs as root and
must stay small; the store knows nothing of HTTP. An import that points upwards would make
each of these promises false without anybody noticing in review.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "app" / "b3iq"

COMMON = {"config", "paths", "errors", "schemas", "systemd", "logs", "__init__"}
PURE = {"models", "privacy", "store"} | COMMON
# Each part and what it may import besides itself.
ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "paths": set(),
    "systemd": set(),
    "logs": set(),
    "schemas": set(),
    "config": {"errors", "schemas"},
    "models": COMMON,
    "store": COMMON,
    # What the updater and the node tell each other: neither may import the other.
    "updates": COMMON,
    "privacy": COMMON,
    "engine": {"models"} | COMMON,
    "evidence": COMMON,
    "receipts": {"evidence"} | PURE,
    "audit": {"evidence"} | PURE,
    "credentials": {"audit", "evidence"} | PURE,
    "updater": {"models", "updates"} | COMMON,
    "console": {"credentials", "audit", "receipts", "node", "updates"} | PURE,
    "node": {"credentials", "audit", "receipts", "evidence", "console", "updates"} | PURE,
    # Of the updater, the readers of what it wrote: doctor judges by the same code.
    "checks": {"credentials", "updater"} | PURE,
    "cli": {"checks", "credentials", "audit", "receipts", "evidence", "updater", "node", "console"}
    | PURE,
}


def part_of(path: Path) -> str:
    relative = path.relative_to(PACKAGE)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


def imported_parts(path: Path) -> set[str]:
    """The b3iq parts that a file imports, also inside functions."""
    parts: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module == "b3iq":
            names = [f"b3iq.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide the direction"
            names = [node.module or ""]
        else:
            continue
        for name in names:
            head, _, rest = name.partition(".")
            if head == "b3iq" and rest:
                parts.add(rest.split(".")[0])
    return {part for part in parts if not part.startswith("__")}


FILES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_file_imports_only_parts_below_its_own(path: Path) -> None:
    part = part_of(path)
    if part in ("__init__", "__main__"):
        return
    assert part in ALLOWED, f"{part} is a new part: say here what it may import"
    forbidden = imported_parts(path) - ALLOWED[part] - {part}
    assert not forbidden, f"{part} must not import {sorted(forbidden)}"


def third_party(part: str) -> set[str]:
    """Top-level module names outside b3iq that the files of a part import."""
    found: set[str] = set()
    for path in FILES:
        if part_of(path) != part:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize(
    "part",
    [
        "node",
        "credentials",
        "audit",
        "evidence",
        "receipts",
        "store",
        "console",
        "cli",
        "checks",
    ],
)
def test_the_process_with_the_secrets_never_imports_torch(part: str) -> None:
    assert not third_party(part) & {"torch", "transformers", "safetensors", "tokenizers"}


def test_the_engine_imports_no_key_handling_code() -> None:
    assert not third_party("engine") & {"sqlalchemy", "argon2", "cryptography", "httpx", "click"}


def test_the_updater_imports_only_its_own_layer() -> None:
    assert not third_party("updater") & {"flask", "sqlalchemy", "httpx", "torch", "transformers"}

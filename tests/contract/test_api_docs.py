"""docs/api.md lists every route and parameter that the code knows, and nothing else.

Clients are written against the document. A parameter that the code learns and the document
does not is a promise nobody can rely on; the other way round it is a lie.
"""

from __future__ import annotations

import re
from pathlib import Path

from b3iq.node import chat_schema
from b3iq.node.policy import POLICY

API = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")


def section(start: str, end: str) -> str:
    return API[API.index(start) : API.index(end)]


def first_cells(text: str) -> set[str]:
    """The code words in the first column of every table of a text."""
    names: set[str] = set()
    for line in text.splitlines():
        if line.startswith("| `"):
            names |= set(re.findall(r"`([a-z_]+)`", line.split(" | ")[0]))
    return names


def test_the_routes_in_the_document_are_those_of_the_policy_table() -> None:
    documented = {
        (method.strip(), path)
        for methods, path in re.findall(
            r"^\| ([A-Z, ]+) `(/[^`]*)`", section("## Routes", "## Chat"), re.MULTILINE
        )
        for method in methods.split(",")
    }
    in_code = {
        (method, rule.path)
        for rule in POLICY
        for method in rule.methods
        if not rule.path.startswith("/admin/")
    }
    assert documented == in_code


def test_the_parameters_in_the_document_are_those_of_the_schema() -> None:
    text = section("## Chat completions", "### What an answer carries")
    in_code = set(chat_schema.ChatRequest.model_fields) | set(chat_schema.UNSUPPORTED)
    assert first_cells(text) == in_code

"""Every route, fuzzed from the node's own description, answers what the description lists."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from b3iq.node.openapi import describe
from b3iq.node.policy import ADMIN, POLICY
from tests.integration.fuzz import Fuzzed, as_everybody, fuzz
from tests.integration.openai.served import Served, serving
from tests.unit.engine.tiny_model import build

EXAMPLES = 12


@pytest.fixture(scope="module")
def node(short_dir: Path) -> Iterator[Served]:
    """A node of its own: it is claimed, and its engine answers quickly."""
    with serving(short_dir / "fuzzed", build(short_dir / "fuzzed-model")) as served:
        yield served


@pytest.fixture(scope="module")
def fuzzed(node: Served) -> Fuzzed:
    return as_everybody(node, EXAMPLES)


@pytest.mark.timeout(300)
def test_no_answer_is_unlisted_or_a_fault_of_the_node(fuzzed):
    assert sorted(fuzzed.faults) == []
    assert not [status for status in fuzzed.statuses if status >= 500]
    print(f"\n{dict(fuzzed.cases)}")


def test_every_route_was_asked_as_everybody_and_some_were_answered(fuzzed):
    """Guards the test above: nothing would be wrong with a fuzzer that is always refused."""
    asked = {tuple(what.split()[:2]) for what in fuzzed.reached}
    expected = {
        (method, re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.path))
        for rule in POLICY
        for method in rule.methods
        if ADMIN not in rule.classes
    }
    assert asked == expected
    assert set(fuzzed.cases) == {"nobody", "setup token", "local key", "owner"}
    assert fuzzed.reached >= {
        "POST /v1/chat/completions 200",
        "POST /console/keys 201",
        "GET /console/ 200",
        "GET /v1/receipts 200",
        "GET /v1/receipts 400",
        "POST /setup/claim 400",
    }


def test_an_answer_that_is_not_listed_is_found(node):
    description = describe()
    receipts = description["paths"]["/v1/receipts"]["get"]
    del receipts["responses"]["401"]
    description["paths"] = {"/v1/receipts": {"get": receipts}}
    faults = fuzz(node.base_url, description, {"nobody": {}}, 1).faults
    assert [fault for fault in faults if "Undocumented status code" in fault]


def test_the_node_is_as_well_as_before(node, fuzzed):
    assert fuzzed.cases
    status = node.admin.get("/admin/status")
    assert (status["engine"], status["streams"]) == ("ok", 0)

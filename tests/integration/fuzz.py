"""Fuzzes a running node from its own OpenAPI description, as each credential class.

schemathesis makes the requests, valid ones and broken ones; every answer must be one that
the description lists, in status, content type and form, and no fault of the node.
"""

from __future__ import annotations

import copy
import re
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import httpx
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from hypothesis.strategies import SearchStrategy
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from b3iq.node.openapi import describe
from tests.integration.node_process import PASSWORD
from tests.integration.openai.served import Served

_CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
# Of a stack trace, of Python's own words, of this node's files.
_LEAKS = ("Traceback", 'File "', "<class '", "Error(", "site-packages", "/b3iq/", "sqlite", ".sock")


@dataclass
class Fuzzed:
    """What was sent and what came of it.

    Attributes:
        cases: requests by credential class.
        statuses: answers by status.
        reached: `<method> <path> <status>` of each kind of answer.
        faults: what must not have happened, each once.
    """

    cases: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    reached: set[str] = field(default_factory=set)
    faults: set[str] = field(default_factory=set)

    def __add__(self, other: Fuzzed) -> Fuzzed:
        return Fuzzed(
            self.cases + other.cases,
            self.statuses + other.statuses,
            self.reached | other.reached,
            self.faults | other.faults,
        )


def for_model(description: dict[str, Any], model: str) -> dict[str, Any]:
    """The description with a model that is there and answers that end soon."""
    narrowed = copy.deepcopy(description)
    chat = narrowed["components"]["schemas"]["ChatRequest"]
    chat["properties"]["model"] = {"enum": [model]}
    for name in ("max_tokens", "max_completion_tokens"):
        chat["properties"][name] = {"type": "integer", "minimum": 1, "maximum": 8}
    chat["required"] = [*chat["required"], "max_tokens"]
    return narrowed


def fuzz(
    base_url: str,
    description: dict[str, Any],
    holders: dict[str, dict[str, str]],
    examples: int,
    *,
    start: int = 0,
) -> Fuzzed:
    """Send `examples` valid and as many broken requests per route and credential class.

    Args:
        base_url: of the node.
        description: its OpenAPI document.
        holders: headers by credential class.
        examples: how many of each kind, at most; a route without parameters has only one.
        start: equal numbers make equal requests.
    """
    found = Fuzzed()
    limits = settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    for result in schemathesis.openapi.from_dict(description).get_all_operations():
        operation = result.ok()
        for holder, headers in holders.items():
            if holder == "owner" and operation.path == "/logout":
                continue  # it would be the last request of this class
            send = partial(_send, base_url, holder, headers, found)
            for mode in GenerationMode:
                _try_cases(operation.as_strategy(mode), limits, start, send)
    return found


def _try_cases(
    cases: SearchStrategy[Case], limits: settings, start: int, send: Callable[[Case], None]
) -> None:
    @seed(start)
    @limits
    @given(case=cases)
    def each(case: Case) -> None:
        send(case)

    # Where nothing about a request can be broken, there is no broken request.
    with suppress(Unsatisfiable):
        each()


def as_everybody(served: Served, examples: int, *, start: int = 0) -> Fuzzed:
    """Fuzz a fresh node before its claim and after it; it is claimed at the end."""
    # Before the claim nobody may read the description from the node itself.
    before = for_model(describe(), served.model)
    token = str(served.admin.post("/admin/setup-token")["url"]).split("#token=")[1]
    strangers = {"nobody": {}, "setup token": {"Authorization": f"Bearer {token}"}}
    first = fuzz(served.base_url, before, strangers, examples // 2, start=start)
    owner = claim(served)
    answer = httpx.get(f"{served.base_url}/openapi.json", headers=owner, trust_env=False)
    key = served.new_key(scopes=["inference", "metrics"])[1]
    holders = {"nobody": {}, "local key": {"Authorization": f"Bearer {key}"}, "owner": owner}
    described = for_model(answer.raise_for_status().json(), served.model)
    return first + fuzz(served.base_url, described, holders, examples, start=start)


def claim(served: Served) -> dict[str, str]:
    """Make the owner; headers as of the owner's own pages: session cookie and CSRF token."""
    token = str(served.admin.post("/admin/setup-token")["url"]).split("#token=")[1]
    with httpx.Client(base_url=served.base_url, trust_env=False) as client:
        body = {"token": token, "owner_name": "Ada", "password": PASSWORD}
        assert client.post("/setup/claim", json=body).status_code == 201
        found = re.search(r'name="csrf_token" value="([^"]+)"', client.get("/console/").text)
        assert found
        cookies = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    return {"Cookie": cookies, "X-CSRF-Token": found[1]}


def _send(base_url: str, holder: str, headers: dict[str, str], found: Fuzzed, case: Case) -> None:
    sent = {"Origin": base_url} | headers
    answer = case.call(base_url=base_url, headers=sent, allow_redirects=False, timeout=60)
    what = f"{case.method} {case.operation.path}"
    found.cases[holder] += 1
    found.statuses[answer.status_code] += 1
    found.reached.add(f"{what} {answer.status_code}")
    try:
        case.validate_response(answer, checks=_CHECKS)
    except FailureGroup as group:
        found.faults |= {
            f"{what} as {holder} ({answer.status_code}): {failure.title}: {failure.message}"
            for failure in group.exceptions
        }
    text = answer.content.decode("utf-8", errors="replace") + str(answer.headers)
    said = text if "json" in str(answer.headers.get("content-type")) else ""
    found.faults |= {f"{what} as {holder}: leaks {leak}" for leak in _LEAKS if leak in said}
    if not answer.headers.get("x-request-id"):
        found.faults.add(f"{what} as {holder}: no request id ({answer.status_code})")

"""What each route may answer, for the API description: statuses and content types.

Worked out from the rule where it can be, listed where the route is special. The fuzzer holds
every answer of a real node against it, so that what is not listed here is found there.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from b3iq.node.policy import LOCAL_KEY, PUBLIC, Rule

_JSON = "application/json"
_HTML = "text/html"
# Before any route, and in the native form: see docs/api.md.
_BEFORE = (408, 414, 431)
_SUCCESS: dict[tuple[str, str], dict[int, tuple[str, ...]]] = {
    ("/", "GET"): {303: ()},
    ("/metrics", "GET"): {200: ("text/plain",)},
    ("/login/passkey/challenge", "POST"): {200: (_JSON,)},
    ("/console/passkeys/challenge", "POST"): {200: (_JSON,)},
    ("/setup/claim", "POST"): {201: (_JSON,)},
    ("/static/<path:filename>", "GET"): {
        200: ("text/css", "text/javascript", "image/svg+xml"),
        304: (),
    },
    ("/v1/chat/completions", "POST"): {200: (_JSON, "text/event-stream")},
}
_SUCCESS_BY_FORM: dict[tuple[str, str], dict[int, tuple[str, ...]]] = {
    ("page", "GET"): {200: (_HTML,), 303: ()},
    # A form that was filled in wrongly comes back as a page; what cannot be done now, as an error.
    ("page", "POST"): {200: (_HTML,), 201: (_HTML,), 303: (), 409: (_HTML, _JSON)},
}
_REFUSALS: dict[tuple[str, str], tuple[int, ...]] = {
    ("/login", "POST"): (401, 403, 429),
    ("/login/code", "POST"): (401, 403, 429),
    ("/recover/", "GET"): (404,),
    ("/recover/owner", "POST"): (401, 403),
    ("/login/passkey", "POST"): (401, 403, 429),
    ("/login/passkey/challenge", "POST"): (403,),
    ("/setup/", "GET"): (404,),
    ("/setup/claim", "POST"): (401, 403, 404),
    ("/v1/chat/completions", "POST"): (404, 502, 503),
    ("/v1/models", "GET"): (503,),
}

SCHEMAS: dict[str, Any] = {
    "Error": {
        "type": "object",
        "required": ["error"],
        "properties": {"error": {"$ref": "#/components/schemas/Fault"}},
    },
    "Fault": {
        "type": "object",
        "required": ["status", "title", "detail", "code"],
        "additionalProperties": False,
        "properties": {
            "status": {"type": "integer"},
            "title": {"type": "string"},
            "detail": {"type": "string"},
            "code": {"type": "string"},
        },
    },
    "OpenAIError": {
        "type": "object",
        "required": ["error"],
        "properties": {
            "error": {
                "type": "object",
                "required": ["message", "type", "param", "code", "b3iq"],
                "properties": {
                    "message": {"type": "string"},
                    "type": {"type": "string"},
                    "param": {"type": ["string", "null"]},
                    "code": {"type": ["string", "null"]},
                    "b3iq": {"$ref": "#/components/schemas/Fault"},
                },
            }
        },
    },
}


def responses(rule: Rule, method: str, *, has_body: bool) -> dict[str, Any]:
    """Every status of a route, but for the schemas of its own answers."""
    told: dict[str, Any] = {}
    for status, types in successes(rule, method).items():
        told[str(status)] = _response(status, {kind: {} for kind in types})
    for status in refusals(rule, method, has_body=has_body):
        name = "OpenAIError" if rule.form == "openai" and status not in _BEFORE else "Error"
        content: dict[str, Any] = {_JSON: {"schema": {"$ref": f"#/components/schemas/{name}"}}}
        if rule.form == "page":
            content[_HTML] = {}
        told.setdefault(str(status), _response(status, content))
    return told


def successes(rule: Rule, method: str) -> dict[int, tuple[str, ...]]:
    """Statuses below 400, and a page's 409, with their content types."""
    default: dict[int, tuple[str, ...]] = {200: (_JSON,)}
    by_form = _SUCCESS_BY_FORM.get((rule.form, method), default)
    return _SUCCESS.get((rule.path, method), by_form)


def refusals(rule: Rule, method: str, *, has_body: bool) -> list[int]:
    """Statuses of 400 and above."""
    found = {400, 421, *_BEFORE, *_REFUSALS.get((rule.path, method), ())}
    if PUBLIC not in rule.classes:
        found |= {401, 403}
    if LOCAL_KEY in rule.classes:
        found.add(429)
    if "<" in rule.path:
        found.add(404)
    if has_body:
        found |= {413, 415}
    return sorted(found)


def _response(status: int, content: dict[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = {"description": HTTPStatus(status).phrase}
    return told | ({"content": content} if content else {})

"""The API description (OpenAPI 3.1), made from the policy table and the schemas."""

from __future__ import annotations

import re
from typing import Any

from flask import Flask, Response, jsonify
from pydantic import BaseModel

import b3iq
from b3iq.node.keys import CreatedKey, KeyList, KeyView, NewKey
from b3iq.node.policy import ADMIN, LOCAL_KEY, OWNER, POLICY, SETUP_TOKEN, Rule
from b3iq.node.profiles import ModelProfileList
from b3iq.node.receipts import ReceiptList
from b3iq.node.sessions import Ended, SessionList
from b3iq.node.setup import Claim

# The chat request is not among them: its schema accepts more than it can say (one stop
# string, text parts, neutral values), and docs/api.md lists all of it.
_REQUESTS: dict[tuple[str, str], type[BaseModel]] = {
    ("/setup/claim", "POST"): Claim,
    ("/recover/owner", "POST"): Claim,
    ("/admin/keys", "POST"): NewKey,
}
_ANSWERS: dict[tuple[str, str], type[BaseModel]] = {
    ("/v1/receipts", "GET"): ReceiptList,
    ("/v1/model-profiles", "GET"): ModelProfileList,
    ("/admin/sessions", "GET"): SessionList,
    ("/admin/sessions/<session_id>/revoke", "POST"): Ended,
    ("/admin/sessions/revoke-all", "POST"): Ended,
    ("/admin/keys", "GET"): KeyList,
    ("/admin/keys", "POST"): CreatedKey,
    ("/admin/keys/<key_id>/revoke", "POST"): KeyView,
}
_SCHEMES = {
    LOCAL_KEY: "localKey",
    OWNER: "ownerSession",
    SETUP_TOKEN: "setupToken",
}
_PARAMETER = re.compile(r"<(?:\w+:)?(\w+)>")


def describe() -> dict[str, Any]:
    """The document; routes of the admin socket are not part of the network's API."""
    schemas: dict[str, Any] = {}
    paths: dict[str, dict[str, Any]] = {}
    for rule in POLICY:
        if ADMIN in rule.classes:
            continue
        path = _PARAMETER.sub(r"{\1}", rule.path)
        for method in sorted(rule.methods):
            paths.setdefault(path, {})[method.lower()] = _operation(rule, method, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "B3IQ node", "version": b3iq.__version__},
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": _security_schemes()},
    }


def _operation(rule: Rule, method: str, schemas: dict[str, Any]) -> dict[str, Any]:
    key = (rule.path, method)
    operation: dict[str, Any] = {
        "summary": rule.purpose,
        "security": [] if rule.token_in_body else _security(rule),
        "responses": {"default": {"description": "See `error` in the answer for a refusal."}},
    }
    names = _PARAMETER.findall(rule.path)
    if names:
        operation["parameters"] = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            for name in names
        ]
    if key in _REQUESTS:
        operation["requestBody"] = {"required": True, "content": _content(_REQUESTS[key], schemas)}
    if key in _ANSWERS:
        operation["responses"]["200"] = {
            "description": rule.purpose,
            "content": _content(_ANSWERS[key], schemas),
        }
    return operation


def _security(rule: Rule) -> list[dict[str, list[str]]]:
    return [{name: []} for access, name in _SCHEMES.items() if access in rule.classes]


def _content(schema: type[BaseModel], schemas: dict[str, Any]) -> dict[str, Any]:
    form = schema.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(form.pop("$defs", {}))
    schemas[schema.__name__] = form
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema.__name__}"}}}


def _security_schemes() -> dict[str, Any]:
    return {
        "localKey": {"type": "http", "scheme": "bearer", "bearerFormat": "b3iq_local_…"},
        "setupToken": {"type": "http", "scheme": "bearer", "bearerFormat": "b3iq_setup_…"},
        "ownerSession": {"type": "apiKey", "in": "cookie", "name": "b3iq_session"},
    }


def get_openapi() -> Response:
    """GET /openapi.json."""
    return jsonify(describe())


def register(app: Flask) -> None:
    """Add the route."""
    app.add_url_rule("/openapi.json", view_func=get_openapi)

"""The API description (OpenAPI 3.1), made from the policy table and the schemas."""

from __future__ import annotations

import re
from typing import Any

from flask import Flask, Response, jsonify
from pydantic import BaseModel

import b3iq
from b3iq.console.key_page import OVERLAPS
from b3iq.console.limit_form import FIELDS
from b3iq.credentials import names
from b3iq.credentials.keys import SCOPES
from b3iq.node.chat_schema import UNSUPPORTED, ChatRequest
from b3iq.node.keys import CreatedKey, KeyChange, KeyList, KeyView, NewKey, Rotation
from b3iq.node.openapi_responses import SCHEMAS, responses
from b3iq.node.policy import ADMIN, LOCAL_KEY, OWNER, POLICY, SETUP_TOKEN, Rule
from b3iq.node.profiles import ModelProfileList
from b3iq.node.receipts import ReceiptList, ReceiptQuery
from b3iq.node.sessions import Ended, SessionList
from b3iq.node.setup import Claim

_REQUESTS: dict[tuple[str, str], type[BaseModel]] = {
    ("/setup/claim", "POST"): Claim,
    ("/v1/chat/completions", "POST"): ChatRequest,
    ("/recover/owner", "POST"): Claim,
    ("/admin/keys", "POST"): NewKey,
    ("/admin/keys/<key_id>/rotate", "POST"): Rotation,
    ("/admin/keys/<key_id>/limits", "POST"): KeyChange,
}
_QUERIES: dict[tuple[str, str], type[BaseModel]] = {("/v1/receipts", "GET"): ReceiptQuery}
_TEXT = {"type": "string"}
_LIMITS = {field.name: _TEXT for field in FIELDS}
# Fields of the pages' forms, besides the CSRF token of a session and a proof.
_FORMS: dict[tuple[str, str], dict[str, Any]] = {
    ("/login", "POST"): {"owner_name": _TEXT, "password": _TEXT},
    ("/login/code", "POST"): {"challenge": _TEXT, "code": _TEXT},
    ("/login/passkey", "POST"): {"credential": _TEXT},
    ("/console/keys", "POST"): {
        "name": _TEXT | {"minLength": 1, "maxLength": names.LIMIT},
        "scope": {"type": "array", "items": {"enum": sorted(SCOPES)}, "minItems": 1},
        **_LIMITS,
    },
    ("/console/keys/<key_id>/limits", "POST"): _LIMITS,
    ("/console/keys/<key_id>/rotate", "POST"): {"overlap_minutes": {"enum": [*map(str, OVERLAPS)]}},
    ("/console/second-factor/confirm", "POST"): {"code": _TEXT},
    ("/console/name", "POST"): {"owner_name": _TEXT},
    ("/console/password", "POST"): {"new_password": _TEXT, "new_password_again": _TEXT},
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
    ("/admin/keys/<key_id>/rotate", "POST"): CreatedKey,
    ("/admin/keys/<key_id>/limits", "POST"): KeyView,
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
    _say_what_chat_takes(schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "B3IQ node", "version": b3iq.__version__},
        "paths": paths,
        "components": {"schemas": SCHEMAS | schemas, "securitySchemes": _security_schemes()},
    }


def _operation(rule: Rule, method: str, schemas: dict[str, Any]) -> dict[str, Any]:
    key = (rule.path, method)
    body = _body(rule, method, schemas)
    operation: dict[str, Any] = {
        "summary": rule.purpose,
        "security": [] if rule.token_in_body else _security(rule),
        "responses": responses(rule, method, has_body=body is not None),
    }
    if parameters := _parameters(rule, method):
        operation["parameters"] = parameters
    if body is not None:
        operation["requestBody"] = body
    if key in _ANSWERS:
        operation["responses"]["200"]["content"] = _content(_ANSWERS[key], schemas)
    return operation


def _parameters(rule: Rule, method: str) -> list[dict[str, Any]]:
    in_path = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _PARAMETER.findall(rule.path)
    ]
    query = _QUERIES.get((rule.path, method))
    fields = query.model_json_schema()["properties"] if query else {}
    return in_path + [
        {"name": name, "in": "query", "schema": form} for name, form in fields.items()
    ]


def _body(rule: Rule, method: str, schemas: dict[str, Any]) -> dict[str, Any] | None:
    key = (rule.path, method)
    if key in _REQUESTS:
        return {"required": True, "content": _content(_REQUESTS[key], schemas)}
    fields = _FORMS.get(key, {}) | ({"csrf_token": _TEXT} if rule.csrf else {})
    if not fields:
        return None
    form = {"type": "object", "properties": fields, "required": sorted(set(fields) - set(_LIMITS))}
    return {"content": {"application/x-www-form-urlencoded": {"schema": form}}}


def _say_what_chat_takes(schemas: dict[str, Any]) -> None:
    """Add what validators before the schema's own accept: docs/api.md lists it too."""
    chat, message = schemas["ChatRequest"]["properties"], schemas["Message"]["properties"]
    for name, neutral in UNSUPPORTED.items():
        # 0.0 is 0 in JSON.
        values = [value for value in neutral if not isinstance(value, float)]
        chat[name] = {"enum": [*values, None], "description": "Only its neutral value."}
    chat["stop"]["anyOf"].append({"type": "string"})
    part = {
        "type": "object",
        "required": ["type", "text"],
        "properties": {"type": {"const": "text"}, "text": {"type": "string"}},
    }
    message["content"] = {"anyOf": [message["content"], {"type": "array", "items": part}]}


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

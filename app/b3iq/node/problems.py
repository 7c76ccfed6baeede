"""Errors as clients see them: OpenAI form, native form, or a page. Nothing leaks.

Only the written fields of a `B3iqError` reach a client; any other exception becomes the
same 500, and the journal gets its type and place but not its message, which may quote
the request.
"""

from __future__ import annotations

import logging
from typing import Any

from flask import Flask, Response, g, jsonify, request
from werkzeug.exceptions import HTTPException
from werkzeug.http import HTTP_STATUS_CODES

from b3iq.console import error_pages
from b3iq.errors import B3iqError
from b3iq.node.connection import had_session
from b3iq.node.policy import POLICY

_log = logging.getLogger(__name__)

# By path and not by rule: some refusals come before a rule is found.
_OPENAI_PATHS = frozenset(rule.path for rule in POLICY if rule.form == "openai")
_TYPES = {
    401: "authentication_error",
    402: "insufficient_quota",
    403: "authentication_error",
    404: "not_found_error",
    409: "conflict_error",
    429: "rate_limit_error",
}
_CODES = {
    400: "bad_request",
    404: "not_found",
    405: "method_not_allowed",
    408: "request_timeout",
    413: "body_too_large",
    415: "unsupported_media_type",
}


class HttpError(B3iqError):
    """An error that is only about HTTP, with the status it has there."""

    def __init__(self, status: int, detail: str, *, code: str = "", remedy: str = "") -> None:
        super().__init__(detail, remedy=remedy)
        self.status = status
        self.code = code or _CODES.get(status, "http_error")
        self.title = HTTP_STATUS_CODES.get(status, "Error")


def native(error: B3iqError) -> dict[str, Any]:
    """The native form: `{"error": {"status", "title", "detail", "code"}}`."""
    return {
        "error": {
            "status": error.status,
            "title": error.title,
            "detail": error.message,
            "code": error.code,
        }
    }


def error_type(status: int) -> str:
    """The OpenAI error type of a status."""
    return _TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")


def openai(error: B3iqError) -> dict[str, Any]:
    """The form that OpenAI clients read, with the native one inside as `b3iq`."""
    return {
        "error": {
            "message": error.message,
            "type": error_type(error.status),
            "param": error.param,
            "code": error.code,
            "b3iq": native(error)["error"],
        }
    }


def respond(error: B3iqError) -> Response:
    """The error as a response in the form that its reader expects."""
    if error_pages.wants_page():
        response = error_pages.error_page(error, had_session=had_session(request))
    elif request.path in _OPENAI_PATHS:
        response = _json(openai(error), error.status)
    else:
        response = _json(native(error), error.status)
    if error.status == 401:
        response.headers["www-authenticate"] = 'Bearer realm="b3iq"'
    if error.retry_after_s is not None:
        response.headers["retry-after"] = str(error.retry_after_s)
    return response


def _json(body: dict[str, Any], status: int) -> Response:
    response = jsonify(body)
    response.status_code = status
    return response


def register(app: Flask) -> None:
    """Answer every exception in the right form."""
    app.register_error_handler(B3iqError, respond)
    app.register_error_handler(HTTPException, _http_exception)
    app.register_error_handler(Exception, _unexpected)


def _http_exception(exception: HTTPException) -> Response:
    status = exception.code or 500
    if not 400 <= status < 600:
        # A redirect made by the router would confirm a path that the policy never allowed.
        status = 404
    response = respond(HttpError(status, _detail(status)))
    for name, value in exception.get_headers():
        if name.lower() == "allow":
            response.headers[name] = value
    return response


def _detail(status: int) -> str:
    details = {
        400: "The request could not be read.",
        404: "There is nothing here.",
        405: "This method is not answered here.",
        413: "The body is larger than this node accepts.",
        415: "Send the body as application/json.",
    }
    return details.get(status, HTTP_STATUS_CODES.get(status, "Error") + ".")


def _unexpected(exception: Exception) -> Response:
    _log.error("request_failed", exc_info=exception, extra={"request_id": g.get("request_id")})
    return respond(B3iqError("The node could not do this.", remedy="See its journal."))

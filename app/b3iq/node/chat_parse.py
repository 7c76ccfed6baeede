"""From the bytes of a chat request to the closed schema, or a 400 that names the fault.

Codes are those of the OpenAI API. Messages name the parameter and what it must be; they
never quote the value, which may be a prompt.
"""

from __future__ import annotations

from pydantic import ValidationError
from pydantic_core import ErrorDetails, from_json

from b3iq.errors import B3iqError
from b3iq.node.chat_schema import ChatRequest, is_known_but_unsupported, neutral_values

_CODES = {
    "missing": "missing_required_parameter",
    "too_short": "array_below_min_length",
    "empty_array": "array_below_min_length",
    "too_long": "array_above_max_length",
    "string_too_short": "string_below_min_length",
    "string_too_long": "string_above_max_length",
    "greater_than": "number_below_min_value",
    "greater_than_equal": "number_below_min_value",
    "less_than_equal": "number_above_max_value",
    "unsupported_part": "unsupported_value",
    "literal_error": "invalid_value",
    "finite_number": "invalid_value",
    "stream_options": "invalid_value",
    "too_many_pairs": "object_above_max_properties",
}
# A name is the client's own words and may be as long as a body.
_NAME_LIMIT = 100
# In pydantic's words a JSON array is a list and an object a dictionary or an instance.
_WORDS = {
    "list_type": "must be an array",
    "model_type": "must be an object",
    "dict_type": "must be an object",
    "missing": "is required",
    "stream_options": "is only allowed when stream is true",
}


class InvalidRequest(B3iqError):
    """The body is not a chat request that this node can answer.

    `code` is the OpenAI API's code of the fault.
    """

    code = "invalid_request"
    title = "The request is not valid"
    status = 400

    def __init__(self, detail: str, *, code: str, param: str | None = None) -> None:
        super().__init__(detail, param=param)
        self.code = code


def parse(body: bytes) -> ChatRequest:
    """The request in `body`, UTF-8 JSON (RFC 8259).

    Raises:
        InvalidRequest: it is not JSON, or a parameter is wrong or not supported.
    """
    try:
        fields = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise InvalidRequest("The body is not valid JSON.", code="invalid_json") from error
    if not isinstance(fields, dict):
        raise InvalidRequest("The body must be a JSON object.", code="invalid_json")
    try:
        return ChatRequest.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise _invalid(first) from None


def _invalid(fault: ErrorDetails) -> InvalidRequest:
    kind, told = fault["type"], fault.get("ctx", {})
    if kind == "unknown_name":
        return _refused_name(_name((*fault["loc"], told["name"])))
    if kind == "stream_options":
        param = "stream_options"
    else:
        param = _name(fault["loc"])[:_NAME_LIMIT] + str(told.get("at", ""))
    said = _WORDS.get(kind) or _plain(fault["msg"])
    code = _CODES.get(kind) or ("invalid_type" if kind.endswith("_type") else "invalid_value")
    return InvalidRequest(f"{param} {said}.", code=code, param=param)


def _refused_name(param: str) -> InvalidRequest:
    if not is_known_but_unsupported(param):
        return InvalidRequest(
            f"{param[:_NAME_LIMIT]} is not a parameter of this request.",
            code="unknown_parameter",
            param=param[:_NAME_LIMIT],
        )
    neutral = " or ".join(_json(value) for value in neutral_values(param))
    only = f" but for the value {neutral}" if neutral else ""
    return InvalidRequest(
        f"{param} is not supported by this node{only}.", code="unsupported_parameter", param=param
    )


def _json(value: object) -> str:
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)


def _name(location: tuple[int | str, ...]) -> str:
    """``("messages", 0, "role")`` as ``messages[0].role``."""
    name = ""
    for part in location:
        if isinstance(part, int):
            name += f"[{part}]"
        else:
            name += f".{part}" if name else part
    return name


def _plain(message: str) -> str:
    """``Input should be greater than 0`` as ``must be greater than 0``."""
    words = message.partition(" after validation")[0].rstrip(".")
    return words.replace("Input should", "must").replace("List should", "must")

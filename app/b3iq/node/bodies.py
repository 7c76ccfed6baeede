"""Request and answer bodies as closed schemas, and how requests are read against them."""

from __future__ import annotations

from typing import TypeVar

from flask import Request
from pydantic import BaseModel, ConfigDict, ValidationError

from b3iq.node.problems import HttpError
from b3iq.schemas import faults

# Far more than any of these bodies needs, and too little to keep a validator busy with.
_LIMIT_BYTES = 64 * 1024


class Body(BaseModel):
    """Base of the bodies: unknown fields are errors and no error quotes the input.

    Answers are built from it too, so that nothing leaves that no schema names.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


Schema = TypeVar("Schema", bound=BaseModel)


def read_json(schema: type[Schema], request: Request) -> Schema:
    """The JSON body of a request.

    Raises:
        HttpError: 415 if it is not sent as JSON, 400 naming the field that is wrong.
        RequestEntityTooLarge: it is longer than 64 KiB.
    """
    request.max_content_length = _LIMIT_BYTES
    if request.mimetype != "application/json":
        raise HttpError(415, "Send the body as application/json.")
    try:
        return schema.model_validate_json(request.get_data())
    except ValidationError as error:
        raise _refusal(error) from None


def read_query(schema: type[Schema], request: Request) -> Schema:
    """The query string of a request; a repeated field counts once, the first.

    Raises:
        HttpError: 400 naming the field that is wrong.
    """
    try:
        return schema.model_validate(request.args.to_dict())
    except ValidationError as error:
        raise _refusal(error) from None


def _refusal(error: ValidationError) -> HttpError:
    return HttpError(400, "; ".join(faults(error)) + ".", code="invalid_request")

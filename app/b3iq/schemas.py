"""What the closed schemas have in common: files, wire forms and settings that b3iq reads.

A schema is closed where nobody may add to it: an unknown field is an error and not a hint,
because whoever skips what he does not know acts on something else than what was written.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Closed(BaseModel):
    """Base of what is signed or sent: unknown fields and coerced types are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def faults(error: ValidationError) -> list[str]:
    """What is wrong, one ``field: reason`` each; no input is quoted, it may be a secret."""
    told = []
    for item in error.errors(include_input=False, include_url=False, include_context=False):
        place = ".".join(str(part) for part in item["loc"])
        told.append(f"{place}: {item['msg']}" if place else item["msg"])
    return told

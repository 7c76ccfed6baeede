"""Ids of keys and sessions as arguments: what is none is told before the node is asked."""

from __future__ import annotations

import re

from b3iq.credentials.tokens import ID_FORM
from b3iq.errors import B3iqError


class NotAnId(B3iqError):
    """Nothing can have this id."""

    code = "not_found"
    title = "There is no such thing"
    status = 404

    def __init__(self, kind: str) -> None:
        super().__init__(
            f"This is not the id of a {kind}: an id has 12 letters or digits.",
            remedy=f"See `b3iq {kind}s list`.",
        )


def checked(text: str, kind: str) -> str:
    """The id, fit for a path of the node's.

    Args:
        kind: `key` or `session`; the verb that lists them is its plural.

    Raises:
        NotAnId: it has not the form of one.
    """
    if not re.fullmatch(ID_FORM, text, re.ASCII):
        raise NotAnId(kind)
    return text

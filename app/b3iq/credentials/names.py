"""Names that people give to keys and to themselves."""

from __future__ import annotations

import unicodedata

from b3iq.credentials.errors import InvalidName

LIMIT = 64


def clean(text: str) -> str:
    """The name in one normal form (NFKC), spaces trimmed.

    NFKC folds full-width and ligature lookalikes; what is not printable (control,
    bidirectional and zero-width characters, line breaks) is refused, since it could
    make one name read as another in a list or forge a line in a log.

    Raises:
        InvalidName: empty, longer than 64 characters, or with a character not printable.
    """
    name = unicodedata.normalize("NFKC", text).strip()
    if not name or len(name) > LIMIT:
        raise InvalidName(f"A name has 1 to {LIMIT} characters.")
    if not name.isprintable():
        raise InvalidName("A name has only printable characters.")
    return name

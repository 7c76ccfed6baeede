"""The text form of tokens: `b3iq_<kind>_<id>_<secret><checksum>`.

`id` is public and names the row; `secret` carries 202 random bits; the checksum is
the CRC-32 of all that stands before it, in base62, so that a mistyped or cut token
is refused before any lookup and a scanner can tell a real token from a lookalike.
At rest there is only an HMAC-SHA-256 under a pepper kept outside the database: a
stolen database alone proves nothing and a chosen key cannot be planted in it.
"""

from __future__ import annotations

import hmac
import re
import secrets
import string
import zlib
from dataclasses import dataclass, field
from typing import Literal, cast

from b3iq.credentials.errors import Unauthorized

Kind = Literal["local", "support", "gateway", "setup"]

ID_LENGTH = 12
# Of sessions and passkeys too.
ID_FORM = rf"[0-9A-Za-z]{{{ID_LENGTH}}}"
SECRET_LENGTH = 34  # 34 · log2(62) = 202 bits
CHECKSUM_LENGTH = 6  # 62^6 > 2^32

_BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
_FORM = re.compile(
    rf"b3iq_(local|support|gateway|setup)_({ID_FORM})_"
    rf"[0-9A-Za-z]{{{SECRET_LENGTH}}}([0-9A-Za-z]{{{CHECKSUM_LENGTH}}})",
    re.ASCII,
)


@dataclass(frozen=True)
class Token:
    """A well-formed token; only `kind` and `id` may be shown."""

    kind: Kind
    id: str
    text: str = field(repr=False)


def mint(kind: Kind, token_id: str | None = None) -> Token:
    """A new random token of one kind; with `token_id`, a new secret for that id."""
    token_id = token_id or _random(ID_LENGTH)
    body = f"b3iq_{kind}_{token_id}_{_random(SECRET_LENGTH)}"
    return Token(kind, token_id, body + _checksum(body))


def parse(text: str) -> Token:
    """Read a token, without a look at any store.

    Raises:
        Unauthorized: the text is not of the form, or its checksum is wrong.
    """
    match = _FORM.fullmatch(text)
    if match is None or _checksum(text[:-CHECKSUM_LENGTH]) != match[3]:
        raise Unauthorized
    return Token(cast("Kind", match[1]), match[2], text)


def digest(pepper: bytes, text: str) -> str:
    """What is kept of a token: HMAC-SHA-256 under the pepper, 64 hex digits."""
    return hmac.digest(pepper, text.encode("utf-8"), "sha256").hex()


def matches(pepper: bytes, text: str, kept: str) -> bool:
    """Whether `text` is the token whose digest was kept; in constant time."""
    return hmac.compare_digest(digest(pepper, text), kept)


def _random(length: int) -> str:
    return "".join(secrets.choice(_BASE62) for _ in range(length))


def _checksum(body: str) -> str:
    value = zlib.crc32(body.encode("ascii"))
    digits = ""
    for _ in range(CHECKSUM_LENGTH):
        value, rest = divmod(value, 62)
        digits = _BASE62[rest] + digits
    return digits

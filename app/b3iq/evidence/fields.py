"""Fields that the signed forms have in common.

Numbers are integers below 2^53 (RFC 8785 section 3.2.2.3), times RFC 3339 in UTC with
milliseconds, hashes lower-case hexadecimal, signatures and keys base64url without padding
(RFC 4648 section 5).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from pydantic import Field

# What the first link of a chain names as the one before it.
GENESIS = "0" * 64

Count = Annotated[int, Field(ge=0, le=2**53 - 1)]
Sequence = Annotated[int, Field(ge=1, le=2**53 - 1)]
Time = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")]
# First 16 hex digits of the SHA-256 of the Ed25519 public key.
KeyId = Annotated[str, Field(pattern="^[0-9a-f]{16}$")]
Signature = Annotated[str, Field(pattern="^[A-Za-z0-9_-]{86}$")]


def timestamp(moment: datetime) -> str:
    """An aware time in the form of `Time`."""
    return (
        moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03}Z"
    )

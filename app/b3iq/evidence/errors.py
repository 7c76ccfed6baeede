"""What can go wrong with a signature."""

from __future__ import annotations

from b3iq.errors import B3iqError


class SignatureRefused(B3iqError):
    """A signature is not that of the pinned key, or not in its one form."""

    code = "invalid_signature"
    title = "The signature does not verify"
    status = 400

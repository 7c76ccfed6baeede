"""What can go wrong with receipts."""

from __future__ import annotations

from b3iq.errors import B3iqError


class ReceiptRefused(B3iqError):
    """A receipt, or a chain of them, does not hold."""

    code = "receipt_hash_mismatch"
    title = "The receipt does not verify"
    status = 400

    def __init__(self, detail: str) -> None:
        super().__init__(
            detail,
            remedy="Keep it as it is, and compare it and the public key with another copy.",
        )


class ReceiptSealed(B3iqError):
    """The receipt was sealed already; a sealed receipt never changes."""

    code = "receipt_sealed"
    title = "The receipt is sealed"
    status = 409

    def __init__(self) -> None:
        super().__init__("This receipt was sealed already.")

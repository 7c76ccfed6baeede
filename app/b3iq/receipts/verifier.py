"""Checks receipts against a pinned public key; needs no database and no network."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from b3iq.evidence import canonical, signing
from b3iq.evidence.errors import SignatureRefused
from b3iq.evidence.fields import GENESIS
from b3iq.receipts.errors import ReceiptRefused
from b3iq.receipts.record import Receipt


def verify_receipt(receipt: Receipt, public_key: bytes) -> None:
    """Check hash, key and signature of one receipt.

    Raises:
        ReceiptRefused: any of them does not hold.
    """
    encoded = canonical.encode(receipt.receipt)
    if canonical.digest(encoded) != receipt.receipt_hash:
        raise ReceiptRefused("The hash is not that of the receipt.")
    if receipt.receipt.key_id != signing.key_id(public_key):
        raise ReceiptRefused("The receipt names another key than the pinned one.")
    try:
        signing.verify(public_key, receipt.signature_ed25519, encoded)
    except SignatureRefused as refusal:
        raise ReceiptRefused(refusal.detail) from refusal


def verify_chain(receipts: Iterable[Receipt], public_key: bytes) -> int:
    """Check a whole chain from its first receipt on; returns how many there are.

    A chain that was cut at its end cannot be told from a shorter one by itself:
    compare the count, or the last hash, with what someone else was given.

    Raises:
        ReceiptRefused: a receipt does not hold, or one is missing, doubled or moved.
    """
    return _verify(receipts, public_key, 1, GENESIS)


def verify_run(receipts: Sequence[Receipt], public_key: bytes) -> int:
    """Check a piece of a chain, oldest first: all but its link to what came before.

    Raises:
        ReceiptRefused: as `verify_chain`.
    """
    if not receipts:
        return 0
    first = receipts[0].receipt
    return _verify(receipts, public_key, first.sequence, first.previous_hash)


def _verify(receipts: Iterable[Receipt], public_key: bytes, sequence: int, previous: str) -> int:
    count = 0
    for receipt in receipts:
        verify_receipt(receipt, public_key)
        if receipt.receipt.sequence != sequence:
            raise ReceiptRefused(f"Receipt {sequence} is missing from the chain.")
        if receipt.receipt.previous_hash != previous:
            raise ReceiptRefused(f"Receipt {sequence} does not follow the one before it.")
        previous, sequence, count = receipt.receipt_hash, sequence + 1, count + 1
    return count

"""The wire form of a receipt, version 1.

Evolution law: a released format never changes. No field of `b3iq-receipt-v1` is ever
added, removed, renamed or given another meaning; a receipt that needs more carries a
new `format`, and verifiers keep reading every format that was ever released.

The signed body may become public. It holds no prompt, no output, no key (nor a key's
name or id), no address and no path.
"""

from __future__ import annotations

from typing import Literal

from b3iq.evidence.fields import Count, KeyId, Sequence, Signature, Time
from b3iq.schemas import Closed, Sha256

Status = Literal["completed", "aborted", "failed", "interrupted"]


class Usage(Closed):
    """Tokens that the node received from the engine, whoever read them in the end."""

    prompt_tokens: Count
    completion_tokens: Count
    total_tokens: Count


class ReceiptBody(Closed):
    """What is signed."""

    format: Literal["b3iq-receipt-v1"]
    receipt_id: str
    node_id: str
    key_id: KeyId
    # Counts from 1; `previous_hash` of the first is 64 zeros.
    sequence: Sequence
    previous_hash: Sha256
    status: Status
    model_id: str
    # SHA-256 over the model's weights as its manifest states it.
    model_digest: Sha256
    runtime_kind: str
    usage: Usage
    opened_at: Time
    sealed_at: Time
    # Null where nobody measured: the node crashed, or no token came.
    latency_ms: Count | None
    ttft_ms: Count | None


class Receipt(Closed):
    """A sealed receipt: its body, the hash of the body's canonical bytes, the signature."""

    receipt_hash: Sha256
    # Over the same canonical bytes.
    signature_ed25519: Signature
    receipt: ReceiptBody

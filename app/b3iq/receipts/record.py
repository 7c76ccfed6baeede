"""The wire form of a receipt, version 1.

Evolution law: a released format never changes. No field of `b3iq-receipt-v1` is ever
added, removed, renamed or given another meaning; a receipt that needs more carries a
new `format`, and verifiers keep reading every format that was ever released. Numbers
are integers below 2^53 (RFC 8785 section 3.2.2.3), times RFC 3339 in UTC with
milliseconds, hashes lower-case hexadecimal.

The signed body may become public. It holds no prompt, no output, no key (nor a key's
name or id), no address and no path.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from b3iq.schemas import Closed, Sha256

GENESIS = "0" * 64

Status = Literal["completed", "aborted", "failed", "interrupted"]
Count = Annotated[int, Field(ge=0, le=2**53 - 1)]
Time = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")]


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
    # First 16 hex digits of the SHA-256 of the Ed25519 public key.
    key_id: Annotated[str, Field(pattern="^[0-9a-f]{16}$")]
    # Counts from 1; `previous_hash` of the first is 64 zeros.
    sequence: Annotated[int, Field(ge=1, le=2**53 - 1)]
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
    # Over the same canonical bytes; base64url without padding (RFC 4648 section 5).
    signature_ed25519: Annotated[str, Field(pattern="^[A-Za-z0-9_-]{86}$")]
    receipt: ReceiptBody

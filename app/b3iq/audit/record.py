"""The wire form of an audit event and of a checkpoint, version 1.

Evolution law: a released format never changes. No field of `b3iq-audit-v1` or
`b3iq-audit-checkpoint-v1` is ever added, removed, renamed or given another meaning; what
needs more carries a new `format`, and verifiers keep reading every format that was ever
released. The set of actions, and of the details each one has, only grows (`b3iq.audit.actions`):
a verifier checks an event whose action it does not know, so that a node that was rolled back
still verifies what the newer release wrote.

An event holds no secret, no digest of one, no prompt, and no text that somebody typed: a
name or a mistyped password could never be taken out of the chain again.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from b3iq.evidence.fields import Count, KeyId, Sequence, Signature, Time
from b3iq.schemas import Closed, Sha256

# Who acted: root on the machine; the logged-in owner; whoever held the setup link;
# somebody without a credential; the node by itself.
ActorKind = Literal["admin", "owner", "setup", "visitor", "node"]
_Word = Annotated[str, Field(pattern="^[a-z][a-z0-9_]{0,39}$")]
_Fact = Annotated[str, Field(max_length=128)] | Count


class AuditEvent(Closed):
    """One change, as it is hashed; the hash is that of its canonical bytes."""

    format: Literal["b3iq-audit-v1"]
    # Counts from 1; `previous_hash` of the first is 64 zeros.
    sequence: Sequence
    previous_hash: Sha256
    at: Time
    actor: ActorKind
    # From where: an address, `loopback`, or `local` for the admin socket and the node.
    client: Annotated[str, Field(min_length=1, max_length=64)]
    action: _Word
    # The id of what was changed, where there is more than one of its kind.
    subject: Annotated[str, Field(max_length=64)] | None
    details: dict[_Word, _Fact]


class CheckpointBody(Closed):
    """What is signed: how long the log was at a moment, and the hash of its last event."""

    format: Literal["b3iq-audit-checkpoint-v1"]
    node_id: str
    key_id: KeyId
    size: Count
    head_hash: Sha256
    at: Time


class Checkpoint(Closed):
    """A checkpoint and the node's signature over its canonical bytes."""

    checkpoint: CheckpointBody
    signature_ed25519: Signature

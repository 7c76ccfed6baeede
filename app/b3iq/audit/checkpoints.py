"""Signed checkpoints: how long the log was, kept outside the database.

A chain that was cut at its end looks like a shorter one; the checkpoint tells them apart.
It is prepared while the transaction of its event runs, so that a disk that cannot take it
refuses the change, and published by one rename after the commit, so that a crash at any
moment leaves a checkpoint that the log has reached: it may be old, it is never ahead.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError

from b3iq.audit.errors import AuditRefused
from b3iq.audit.record import Checkpoint, CheckpointBody
from b3iq.evidence import canonical, signing
from b3iq.evidence.errors import SignatureRefused
from b3iq.evidence.fields import timestamp
from b3iq.evidence.signing import Signer
from b3iq.store.errors import DiskRefused


class CheckpointFile:
    """The last checkpoint of one log, in a file that only the node reads (0600)."""

    def __init__(self, path: Path, signer: Signer, node_id: str) -> None:
        self._path = path
        self._signer = signer
        self._node_id = node_id

    @property
    def public_key(self) -> bytes:
        """The key that verifies the checkpoints: Ed25519, raw, 32 bytes."""
        return self._signer.public_key

    def read(self) -> Checkpoint | None:
        """The checkpoint last published; None if there is none.

        Raises:
            AuditRefused: the file is not a checkpoint that this node signed.
        """
        try:
            text = self._path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise AuditRefused("The checkpoint cannot be read.") from error
        try:
            checkpoint = Checkpoint.model_validate_json(text)
        except ValidationError:
            raise AuditRefused("The checkpoint is not in its form.") from None
        verify(checkpoint, self.public_key)
        return checkpoint

    def sign(self, size: int, head_hash: str, now: datetime) -> Checkpoint:
        """The checkpoint of a log of that size."""
        body = CheckpointBody(
            format="b3iq-audit-checkpoint-v1",
            node_id=self._node_id,
            key_id=self._signer.key_id,
            size=size,
            head_hash=head_hash,
            at=timestamp(now),
        )
        signature = self._signer.sign(canonical.encode(body))
        return Checkpoint(checkpoint=body, signature_ed25519=signature)

    def prepare(self, checkpoint: Checkpoint) -> Path:
        """Write it beside the last one, durably; `publish` or `discard` it then.

        Raises:
            DiskRefused: it cannot be written.
        """
        beside = self._path.with_name(f"{self._path.name}.{secrets.token_hex(8)}")
        try:
            descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(checkpoint.model_dump_json().encode("ascii") + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            self.discard(beside)
            raise DiskRefused.of(error) from error
        return beside

    def publish(self, beside: Path) -> None:
        """Put a prepared checkpoint in the place of the last one, durably.

        Raises:
            OSError: the last one is still there.
        """
        beside.replace(self._path)
        directory = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def discard(self, beside: Path) -> None:
        """Remove a prepared checkpoint whose event did not come to be."""
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)

    def discard_all(self) -> None:
        """Remove what a crash left prepared; to be called at the start of the node."""
        for beside in self._path.parent.glob(f"{self._path.name}.*"):
            self.discard(beside)


def verify(checkpoint: Checkpoint, public_key: bytes) -> None:
    """Check key and signature of one checkpoint.

    Raises:
        AuditRefused: either does not hold.
    """
    if checkpoint.checkpoint.key_id != signing.key_id(public_key):
        raise AuditRefused("The checkpoint names another key than the pinned one.")
    try:
        signing.verify(
            public_key, checkpoint.signature_ed25519, canonical.encode(checkpoint.checkpoint)
        )
    except SignatureRefused as refusal:
        raise AuditRefused(f"The checkpoint does not hold. {refusal.detail}") from refusal

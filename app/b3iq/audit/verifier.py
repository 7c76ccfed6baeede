"""Checks an audit log against a pinned public key; needs no database and no network.

1. Each event has the form of its format, and its hash is that of its canonical bytes: an edit.
2. The numbers count from 1 without a gap: a deletion, a reorder.
3. Each names the hash of the one before: an edit whose own hash was made anew.
4. Each checkpoint is signed by the pinned key, and the log holds the event that it names: a
   truncation, or a chain that was made anew from some event on.

What came after the newest checkpoint is held by the chain alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from b3iq.audit import checkpoints
from b3iq.audit.errors import AuditRefused
from b3iq.audit.record import AuditEvent, Checkpoint
from b3iq.evidence import canonical
from b3iq.evidence.fields import GENESIS


class Verifier:
    """Takes the events one by one, oldest first, so that a log of any length fits.

    Attributes:
        size: how many events were found good.
        head: the hash of the last of them.
    """

    def __init__(self, signed: Sequence[Checkpoint], public_key: bytes) -> None:
        """Step 4, the signatures.

        Raises:
            AuditRefused: a checkpoint is not signed by this key.
        """
        self.size = 0
        self.head = GENESIS
        for checkpoint in signed:
            checkpoints.verify(checkpoint, public_key)
        self._expected = [checkpoint.checkpoint for checkpoint in signed]
        self._check_head()

    @property
    def covered(self) -> int:
        """How many events the newest checkpoint covers."""
        return max((expected.size for expected in self._expected), default=0)

    def add(self, event_hash: str, raw: Any) -> AuditEvent:  # noqa: ANN401 - not trusted yet
        """Steps 1 to 4 for the next event.

        Raises:
            AuditRefused: it, or its place, is not as it was written.
        """
        number = self.size + 1
        try:
            event = AuditEvent.model_validate(raw)
        except ValidationError:
            raise AuditRefused(f"Event {number} was changed: it is not in its form.") from None
        found = canonical.digest(canonical.encode(event))
        if found != event_hash:
            raise AuditRefused(f"Event {number} was changed: its hash is not that of its content.")
        if event.sequence != number:
            raise AuditRefused(
                f"Event {number} is missing: event {event.sequence} stands in its place."
            )
        if event.previous_hash != self.head:
            raise AuditRefused(f"Event {number} does not follow the one before it.")
        self.size, self.head = number, found
        self._check_head()
        return event

    def finish(self) -> None:
        """Step 4 at the end of the log.

        Raises:
            AuditRefused: the log ends before a checkpoint.
        """
        if self.size < self.covered:
            raise AuditRefused(
                f"The log was cut: it ends at event {self.size}, "
                f"and a signed checkpoint names event {self.covered}."
            )

    def _check_head(self) -> None:
        for expected in self._expected:
            if expected.size == self.size and expected.head_hash != self.head:
                raise AuditRefused(
                    f"Event {self.size} is not the one that was signed in a checkpoint: "
                    "the log was made anew."
                )

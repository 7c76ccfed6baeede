"""The node's chain of security-relevant changes.

An event is appended inside the write transaction of the change that it records: both are
committed or neither is, and the write lock makes the chain one without a gap. Refusals are
changes of nothing, so a flood of them must not fill the disk: of one client on one day the
1st, 2nd, 4th, 8th … is recorded, each with the count so far (`b3iq.audit.tally`).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, insert, select

from b3iq.audit.actions import DETAILS, NODE, Action, Actor, Refusal
from b3iq.audit.checkpoints import CheckpointFile
from b3iq.audit.errors import AuditRefused, NothingToAccept
from b3iq.audit.record import ActorKind, AuditEvent, Checkpoint
from b3iq.audit.tally import Tally, is_told
from b3iq.evidence import canonical
from b3iq.evidence.fields import GENESIS, timestamp
from b3iq.store.clock import Clock, utc_now
from b3iq.store.database import Database, when_it_ends
from b3iq.store.errors import DiskRefused
from b3iq.store.tables import audit_event as table

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Entry:
    """One row as it is stored: whoever reads it must expect that it was changed."""

    sequence: int
    event_hash: str
    event: Any


class AuditLog:
    """Appends and lists the audit events of one node.

    Args:
        checkpoints: where size and head are kept outside the database.
        who: tells, at any moment, who acts.
    """

    def __init__(
        self,
        database: Database,
        checkpoints: CheckpointFile,
        who: Callable[[], Actor] = lambda: NODE,
        clock: Clock = utc_now,
    ) -> None:
        self._database = database
        self._checkpoints = checkpoints
        self._who = who
        self._clock = clock
        self._tally = Tally()

    @property
    def public_key(self) -> bytes:
        """The key that verifies the checkpoints: Ed25519, raw, 32 bytes."""
        return self._checkpoints.public_key

    def start(self) -> None:
        """Make the first checkpoint, or bring the last one up to what a crash left behind.

        A log that does not match its checkpoint is told to the journal and left as it is:
        no later checkpoint covers it up until an administrator accepts it. A disk that takes
        no write is told, too; the node can still answer.
        """
        self._checkpoints.discard_all()
        try:
            if self._database.reserve is not None:
                self._database.reserve.fill()
            with self._database.write() as connection:
                fault = self.fault(connection)
                if fault is None:
                    self._checkpoint(connection, *_head(connection))
                else:
                    _log.error("audit_log_broken", extra={"detail": fault.detail})
        except DiskRefused as refusal:
            _log.error("audit_checkpoint_failed", extra={"detail": refusal.detail})

    def append(
        self,
        connection: Connection,
        action: Action,
        subject: str | None = None,
        *,
        as_: ActorKind | None = None,
        **details: str | int,
    ) -> AuditEvent:
        """Record a change inside the write transaction that makes it.

        Args:
            connection: of `Database.write`.
            subject: the id of what is changed, where there is more than one of its kind.
            as_: the actor's kind where the change itself tells it better than the request.

        Raises:
            DiskRefused: it cannot be recorded; the transaction must not be committed.
        """
        actor = self._who()
        return self._append(
            connection, Actor(as_ or actor.kind, actor.client), action, subject, details
        )

    def refuse(self, action: Refusal) -> None:
        """Record a refusal, unless so many came from this client today that a count is enough.

        Raises:
            DiskRefused: it cannot be recorded.
        """
        # Whoever fails here has shown no credential, whatever cookie came along.
        stranger = Actor("visitor", self._who().client)
        actor, count = self._tally.count(action, stranger, self._clock().date().isoformat())
        if is_told(count):
            with self._database.write() as connection:
                self._append(connection, actor, action, None, {"day_count": count})

    def accept(self) -> AuditEvent:
        """Go on from a log that does not match its checkpoint, and record that.

        Raises:
            NothingToAccept: it does match.
        """
        with self._database.write() as connection:
            fault = self.fault(connection)
            if fault is None:
                raise NothingToAccept
            try:
                kept = self._checkpoints.read()
            except AuditRefused:
                kept = None
            size = kept.checkpoint.size if kept is not None else 0
            return self.append(
                connection, "audit_log_accepted", fault=fault.detail, checkpoint_size=size
            )

    def fault(self, connection: Connection) -> AuditRefused | None:
        """What is wrong between the log and its checkpoint; None if the log has reached it."""
        try:
            kept = self._checkpoints.read()
        except AuditRefused as refusal:
            return refusal
        if kept is None:
            empty = _head(connection)[0] == 0
            return None if empty else AuditRefused("The checkpoint is gone.")
        size, head = kept.checkpoint.size, kept.checkpoint.head_hash
        if size == 0:
            return None
        found = connection.execute(select(table.c.event_hash).where(table.c.sequence == size))
        if found.scalar_one_or_none() == head:
            return None
        return AuditRefused(f"The log does not hold the event {size} of its checkpoint.")

    def is_intact(self) -> bool:
        """Whether the log has reached its checkpoint; the links are for the verifier."""
        with self._database.read() as connection:
            return self.fault(connection) is None

    def size(self) -> int:
        """How many events there are, by the number of the last."""
        with self._database.read() as connection:
            return _head(connection)[0]

    def checkpoint(self) -> Checkpoint | None:
        """The last checkpoint that was published.

        Raises:
            AuditRefused: its file is not a checkpoint that this node signed.
        """
        return self._checkpoints.read()

    def recent(self, limit: int = 50, before: int | None = None) -> list[Entry]:
        """The last events, or the last before a number; newest first."""
        query = select(table).order_by(table.c.sequence.desc()).limit(limit)
        if before is not None:
            query = query.where(table.c.sequence < before)
        with self._database.read() as connection:
            return [_entry(row) for row in connection.execute(query)]

    def following(self, after: int, limit: int = 500) -> list[Entry]:
        """The events after a number, oldest first."""
        query = select(table).order_by(table.c.sequence).limit(limit)
        with self._database.read() as connection:
            rows = connection.execute(query.where(table.c.sequence > after))
            return [_entry(row) for row in rows]

    def _append(
        self,
        connection: Connection,
        actor: Actor,
        action: Action,
        subject: str | None,
        details: dict[str, str | int],
    ) -> AuditEvent:
        if set(details) - DETAILS[action]:
            raise ValueError(f"{action} has no such details")
        if self._database.reserve is not None:
            self._database.reserve.fill()
        # Looked at before the insert: a log that was cut must not grow back over its end.
        fault = self.fault(connection)
        size, head = _head(connection)
        event = AuditEvent(
            format="b3iq-audit-v1",
            sequence=size + 1,
            previous_hash=head,
            at=timestamp(self._clock()),
            actor=actor.kind,
            client=actor.client,
            action=action,
            subject=subject,
            details=details,
        )
        encoded = canonical.encode(event)
        head = canonical.digest(encoded)
        connection.execute(
            insert(table).values(sequence=event.sequence, event_hash=head, body=encoded)
        )
        if fault is None or action == "audit_log_accepted":
            self._checkpoint(connection, event.sequence, head)
        else:
            _log.error("audit_log_broken", extra={"detail": fault.detail})
        return event

    def _checkpoint(self, connection: Connection, size: int, head: str) -> None:
        checkpoint = self._checkpoints.sign(size, head, self._clock())
        beside = self._checkpoints.prepare(checkpoint)

        def end(committed: bool) -> None:
            if not committed:
                self._checkpoints.discard(beside)
                return
            try:
                self._checkpoints.publish(beside)
            except OSError:
                _log.exception("audit_checkpoint_failed")
                self._checkpoints.discard(beside)
            else:
                _log.info("audit_checkpoint", extra=_line(checkpoint))

        when_it_ends(connection, end)


def _line(checkpoint: Checkpoint) -> dict[str, Any]:
    body = checkpoint.checkpoint
    return {"size": body.size, "head_hash": body.head_hash, "checkpoint": checkpoint.model_dump()}


def _head(connection: Connection) -> tuple[int, str]:
    """Number and hash of the last event."""
    row = connection.execute(
        select(table.c.sequence, table.c.event_hash).order_by(table.c.sequence.desc()).limit(1)
    ).one_or_none()
    return (row.sequence, row.event_hash) if row is not None else (0, GENESIS)


def _entry(row: Row[Any]) -> Entry:
    try:
        event = json.loads(row.body)
    except ValueError:
        event = None
    return Entry(row.sequence, row.event_hash, event)

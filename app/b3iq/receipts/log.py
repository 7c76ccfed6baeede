"""The node's chain of receipts: a row is opened before the first token and sealed once.

Sealing takes the next sequence number and the hash of the receipt before, signs, and
stores all of it in one transaction under the write lock: there is never a gap, a fork
or an unsigned link, whatever moment the power goes.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from b3iq.evidence import canonical
from b3iq.evidence.fields import GENESIS, timestamp
from b3iq.evidence.signing import Signer
from b3iq.receipts.errors import ReceiptSealed
from b3iq.receipts.record import Receipt, ReceiptBody, Status, Usage
from b3iq.store.clock import Clock, utc_now
from b3iq.store.database import Database
from b3iq.store.tables import node as node_table
from b3iq.store.tables import receipt as table

Admit = Callable[[Connection, datetime], None]


@dataclass(frozen=True)
class OpenReceipt:
    """A receipt that waits to be sealed."""

    receipt_id: str


@dataclass(frozen=True)
class _Outcome:
    """What sealing adds to an open receipt; times in whole milliseconds."""

    status: Status
    prompt_tokens: int
    completion_tokens: int
    latency_ms: int | None
    ttft_ms: int | None


class ReceiptLog:
    """Opens, seals and lists the receipts of one node.

    Args:
        on_seal: called with every receipt after it is stored (metrics).
    """

    def __init__(
        self,
        database: Database,
        signer: Signer,
        clock: Clock = utc_now,
        on_seal: Callable[[Receipt], None] = lambda _: None,
    ) -> None:
        self._database = database
        self._signer = signer
        self._clock = clock
        self._on_seal = on_seal
        self.node_id = _node_id(database, signer, clock())

    @property
    def public_key(self) -> bytes:
        """The key that verifies these receipts: Ed25519, raw, 32 bytes."""
        return self._signer.public_key

    def open(
        self,
        *,
        model_id: str,
        model_digest: str,
        runtime_kind: str,
        key_id_of_local_key: str | None = None,
        admit: Admit = lambda _connection, _now: None,
    ) -> OpenReceipt:
        """Note that work begins; to be called before the first token.

        Args:
            admit: asked inside the transaction, before the row is there, with the row's time;
                what it raises leaves no row. Between its look and the row nobody else opens one.
        """
        receipt_id = str(uuid.uuid4())
        with self._database.write(spends_reserve=True) as connection:
            now = self._clock()
            admit(connection, now)
            connection.execute(
                insert(table).values(
                    receipt_id=receipt_id,
                    opened_at=now,
                    model_id=model_id,
                    model_digest=model_digest,
                    runtime_kind=runtime_kind,
                    local_key_id=key_id_of_local_key,
                    prompt_tokens=0,
                    completion_tokens=0,
                )
            )
        return OpenReceipt(receipt_id)

    def progress(self, open_: OpenReceipt, *, prompt_tokens: int, completion_tokens: int) -> None:
        """Note the counts so far, so that a crash leaves them for `recover`."""
        with self._database.write(spends_reserve=True) as connection:
            connection.execute(
                update(table)
                .where(table.c.receipt_id == open_.receipt_id, table.c.sequence.is_(None))
                .values(prompt_tokens=prompt_tokens, completion_tokens=completion_tokens)
            )

    def withdraw(self, open_: OpenReceipt) -> None:
        """Forget an open receipt whose work was refused before it began.

        Raises:
            ReceiptSealed: it was sealed, and nothing takes that back.
        """
        with self._database.write(spends_reserve=True) as connection:
            gone = connection.execute(
                delete(table).where(
                    table.c.receipt_id == open_.receipt_id, table.c.sequence.is_(None)
                )
            )
            if gone.rowcount == 0:
                raise ReceiptSealed

    def seal(
        self,
        open_: OpenReceipt,
        *,
        status: Status,
        prompt_tokens: int,
        completion_tokens: int,
        latency_ms: float | None = None,
        ttft_ms: float | None = None,
    ) -> Receipt:
        """Sign the receipt and put it at the end of the chain; times in milliseconds.

        Raises:
            ReceiptSealed: it was sealed before; nothing changed.
        """
        outcome = _Outcome(
            status, prompt_tokens, completion_tokens, _whole(latency_ms), _whole(ttft_ms)
        )
        with self._database.write(spends_reserve=True) as connection:
            receipt = self._seal(connection, open_.receipt_id, outcome)
        self._on_seal(receipt)
        return receipt

    def recover(self) -> list[Receipt]:
        """Seal as `interrupted` what a crash left open, with the counts last noted.

        To be called when no work runs: at the start of the node.
        """
        with self._database.write(spends_reserve=True) as connection:
            rows = connection.execute(
                select(table).where(table.c.sequence.is_(None)).order_by(table.c.opened_at)
            ).all()
            receipts = [
                self._seal(
                    connection,
                    row.receipt_id,
                    _Outcome("interrupted", row.prompt_tokens, row.completion_tokens, None, None),
                )
                for row in rows
            ]
        for receipt in receipts:
            self._on_seal(receipt)
        return receipts

    def recent(self, limit: int = 50) -> list[Receipt]:
        """The last sealed receipts, newest first."""
        with self._database.read() as connection:
            rows = connection.execute(
                select(table.c.body, table.c.signature, table.c.receipt_hash)
                .where(table.c.sequence.is_not(None))
                .order_by(table.c.sequence.desc())
                .limit(limit)
            ).all()
        return [
            Receipt(
                receipt_hash=row.receipt_hash,
                signature_ed25519=row.signature,
                receipt=ReceiptBody.model_validate_json(row.body),
            )
            for row in rows
        ]

    def _seal(self, connection: Connection, receipt_id: str, outcome: _Outcome) -> Receipt:
        row = connection.execute(select(table).where(table.c.receipt_id == receipt_id)).one()
        if row.sequence is not None:
            raise ReceiptSealed
        last = connection.execute(
            select(table.c.sequence, table.c.receipt_hash)
            .where(table.c.sequence.is_not(None))
            .order_by(table.c.sequence.desc())
            .limit(1)
        ).one_or_none()
        now = self._clock()
        body = self._body(row, outcome, last, now)
        encoded = canonical.encode(body)
        receipt = Receipt(
            receipt_hash=canonical.digest(encoded),
            signature_ed25519=self._signer.sign(encoded),
            receipt=body,
        )
        connection.execute(
            update(table)
            .where(table.c.receipt_id == receipt_id)
            .values(
                prompt_tokens=outcome.prompt_tokens,
                completion_tokens=outcome.completion_tokens,
                sequence=body.sequence,
                sealed_at=now,
                receipt_hash=receipt.receipt_hash,
                body=encoded,
                signature=receipt.signature_ed25519,
            )
        )
        return receipt

    def _body(
        self, row: Row[Any], outcome: _Outcome, last: Row[Any, Any] | None, now: datetime
    ) -> ReceiptBody:
        return ReceiptBody(
            format="b3iq-receipt-v1",
            receipt_id=row.receipt_id,
            node_id=self.node_id,
            key_id=self._signer.key_id,
            sequence=last.sequence + 1 if last else 1,
            previous_hash=last.receipt_hash if last else GENESIS,
            status=outcome.status,
            model_id=row.model_id,
            model_digest=row.model_digest,
            runtime_kind=row.runtime_kind,
            usage=Usage(
                prompt_tokens=outcome.prompt_tokens,
                completion_tokens=outcome.completion_tokens,
                total_tokens=outcome.prompt_tokens + outcome.completion_tokens,
            ),
            opened_at=timestamp(row.opened_at),
            sealed_at=timestamp(now),
            latency_ms=outcome.latency_ms,
            ttft_ms=outcome.ttft_ms,
        )


def _node_id(database: Database, signer: Signer, now: datetime) -> str:
    """The node's public name: made from its first identity key, kept through rotations."""
    with database.write() as connection:
        row = connection.execute(select(node_table.c.node_id)).one_or_none()
        if row is not None:
            return str(row.node_id)
        name = f"node-{signer.key_id}"
        connection.execute(insert(node_table).values(id=1, node_id=name, created_at=now))
        return name


def _whole(milliseconds: float | None) -> int | None:
    return None if milliseconds is None else max(0, round(milliseconds))

"""What a local key has used in the last minute, counted from its receipts.

The receipts are the counters: nothing is counted twice or lost, in any worker, over any
restart. A request counts from when its receipt is opened, a token from when it is noted:
once a second while the answer runs, and all of them when it is sealed, however it ended.

The clock may jump. Receipts are walked from the newest back, in the order of the chain, and
the walk ends at the first that was sealed a minute or more from now, before it or after
it: a jump opens one minute anew and closes none for longer than two.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    bindparam,
    case,
    func,
    or_,
    select,
)

from b3iq.store.tables import UtcDateTime
from b3iq.store.tables import receipt as table

WINDOW = timedelta(minutes=1)

_key = table.c.local_key_id == bindparam("key_id")
_since = bindparam("since", type_=UtcDateTime)
_until = bindparam("until", type_=UtcDateTime)
_tokens = table.c.prompt_tokens + table.c.completion_tokens


@dataclass(frozen=True)
class KeyUsage:
    """What one key has used in the minute before a moment.

    Attributes:
        requests: opened in it.
        tokens: of answers that run, and of those sealed in it.
        last_request_at, last_token_at: when the newest of them was opened or sealed; None
            without any. A token of an answer that runs is as new as can be.
    """

    requests: int
    tokens: int
    last_request_at: datetime | None
    last_token_at: datetime | None


def usage(connection: Connection, key_id: str, now: datetime) -> KeyUsage:
    """What the key has used by `now`."""
    row = connection.execute(_USAGE, _window(key_id, now)).one()
    last_token_at = now if row.running else row.last_token_at
    return KeyUsage(row.requests, row.tokens, row.last_request_at, last_token_at)


def requests_fall_below(
    connection: Connection, key_id: str, now: datetime, limit: int
) -> timedelta:
    """How long until fewer than `limit` requests count, if nothing is asked meanwhile."""
    opened = connection.execute(
        _NTH_REQUEST, _window(key_id, now) | {"nth": limit - 1}
    ).scalar_one_or_none()
    return _leaves_in(opened, now)


def tokens_fall_below(connection: Connection, key_id: str, now: datetime, limit: int) -> timedelta:
    """How long until fewer than `limit` tokens count; a minute while running answers hold them."""
    sealed = connection.execute(
        _NTH_TOKEN, _window(key_id, now) | {"limit": limit}
    ).scalar_one_or_none()
    return _leaves_in(sealed, now)


def _window(key_id: str, now: datetime) -> dict[str, Any]:
    return {"key_id": key_id, "since": now - WINDOW, "until": now + WINDOW}


def _leaves_in(moment: datetime | None, now: datetime) -> timedelta:
    return WINDOW if moment is None else moment + WINDOW - now


def _is_near(column: ColumnElement[Any]) -> ColumnElement[bool]:
    return and_(column > _since, column < _until)


# The newest sealed receipt that no longer counts: the walk ends there.
_edge = (
    select(table.c.sequence)
    .where(
        _key,
        table.c.sequence.is_not(None),
        or_(table.c.sealed_at.is_(None), table.c.sealed_at <= _since, table.c.sealed_at >= _until),
    )
    .order_by(table.c.sequence.desc())
    .limit(1)
    .scalar_subquery()
)
_running = table.c.sequence.is_(None)
_counts = or_(_running, table.c.sequence > func.coalesce(_edge, 0))
_opened_near = case((_is_near(table.c.opened_at), 1))
_USAGE: Select[Any] = select(
    func.count(_opened_near).label("requests"),
    func.coalesce(func.sum(_tokens), 0).label("tokens"),
    func.max(case((_is_near(table.c.opened_at), table.c.opened_at))).label("last_request_at"),
    func.max(table.c.sealed_at).label("last_token_at"),
    func.count(case((and_(_running, _tokens > 0), 1))).label("running"),
).where(_key, _counts)
_NTH_REQUEST: Select[Any] = (
    select(table.c.opened_at)
    .where(_key, _counts, _is_near(table.c.opened_at))
    .order_by(table.c.opened_at.desc())
    .limit(1)
    .offset(bindparam("nth"))
)
# Summed from the newest back: when the receipt that reaches the limit leaves, it is undone.
_summed = (
    select(
        table.c.sealed_at,
        func.sum(_tokens)
        .over(order_by=func.coalesce(table.c.sequence, 2**62).desc())
        .label("total"),
    )
    .where(_key, _counts)
    .subquery()
)
_NTH_TOKEN: Select[Any] = (
    select(_summed.c.sealed_at)
    .where(_summed.c.total >= bindparam("limit"))
    .order_by(_summed.c.total)
    .limit(1)
)

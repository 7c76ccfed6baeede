"""Transactions on the node's SQLite database.

Only the node process opens the file. Reads run beside a write (WAL); writes take
the write lock at their start (BEGIN IMMEDIATE), so that what a transaction read
is still true when it commits and no transaction fails half-way on an upgrade of
its lock. `synchronous=FULL`: a commit that was answered survives a power cut. With
NORMAL a revoked key could come back to life and a receipt whose hash a client
holds could vanish from the chain.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.exc import OperationalError

from b3iq.store.errors import refusal_of
from b3iq.store.reserve import Reserve

BUSY_TIMEOUT_MS = 10_000
_WRITE = "b3iq_write"
_ENDINGS = "b3iq_endings"


class Database:
    """One SQLite file, private to its owner (0600), opened by many threads.

    Args:
        reserve: disk space that only some writes may use; None where nobody keeps any.
    """

    def __init__(self, path: Path, reserve: Reserve | None = None) -> None:
        self.path = path
        self.reserve = reserve
        _create_private(path)
        self._engine = create_engine(
            f"sqlite:///{path}",
            # Threads of the node never wait for a connection, only for the write lock.
            pool_size=16,
            max_overflow=-1,
            connect_args={"timeout": BUSY_TIMEOUT_MS / 1000, "check_same_thread": False},
        )
        event.listen(self._engine, "connect", _prepare)
        event.listen(self._engine, "begin", _begin)
        # SQLite's own waiting polls with growing sleeps; a lock hands over at once.
        self._writing = threading.Lock()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that sees one state of the database and writes nothing.

        Raises:
            DiskRefused: the disk fails; a read-only one is enough to keep SQLite from opening.
        """
        with _disk_refusals(), self._engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self, *, spends_reserve: bool = False) -> Iterator[Connection]:
        """A transaction that holds the write lock; commits at the end, or nothing happened.

        Args:
            spends_reserve: it may use the disk space that is kept back.

        Raises:
            DiskRefused: the disk is full, read-only or failing; nothing happened.
        """
        endings: list[Callable[[bool], None]] = []
        if spends_reserve and self.reserve is not None:
            self.reserve.give()
        with (
            _disk_refusals(),
            self._writing,
            self._engine.connect().execution_options(
                **{_WRITE: True, _ENDINGS: endings}
            ) as connection,
            _told(endings),
            connection.begin(),
        ):
            yield connection

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()


def when_it_ends(connection: Connection, ending: Callable[[bool], None]) -> None:
    """Have `ending` called after the write transaction, with whether it was committed.

    It is called before the next write of this process begins, and must not fail.
    """
    connection.get_execution_options()[_ENDINGS].append(ending)


@contextmanager
def _disk_refusals() -> Iterator[None]:
    """Tell a disk that is full or failing from the faults of a statement."""
    try:
        yield
    except OperationalError as error:
        refusal = refusal_of(error.orig)
        if refusal is None:
            raise
        raise refusal from error


@contextmanager
def _told(endings: list[Callable[[bool], None]]) -> Iterator[None]:
    committed = False
    try:
        yield
        committed = True
    finally:
        for ending in endings:
            ending(committed)


def _create_private(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        # SQLite gives the -wal and -shm files the mode of the main file.
        os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)


def _prepare(connection: sqlite3.Connection, _record: object) -> None:
    # None: the driver starts no transactions by itself; `_begin` does.
    connection.isolation_level = None
    for pragma in (
        f"busy_timeout = {BUSY_TIMEOUT_MS}",
        "journal_mode = WAL",
        "synchronous = FULL",
        "foreign_keys = ON",
        "trusted_schema = OFF",
        # Deleted rows are overwritten with zeros in the file.
        "secure_delete = ON",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITE, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

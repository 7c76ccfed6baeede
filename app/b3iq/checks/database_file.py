"""The database is no SQLite file in WAL mode: another program opened it, or it is damaged."""

from __future__ import annotations

import os

from b3iq.checks.check import Check, Finding, failed, ok, skipped
from b3iq.checks.host import Host

# https://www.sqlite.org/fileformat.html: the first 16 bytes, and 2 twice for a write-ahead log.
MAGIC = b"SQLite format 3\0"
_WAL = b"\2\2"
_REMEDY = (
    "Stop the node, keep a copy of the whole directory, and start it again: SQLite recovers what "
    "it can. If it does not, restore a backup."
)


def _look(host: Host) -> Finding:
    path = host.paths.database
    if not os.path.lexists(path):
        return skipped("The node has made no database yet.")
    # Its header is read as bytes: only the node opens it as a database. The node owns the
    # directory, so what lies there must neither lead elsewhere nor make root wait.
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return failed("The database is a link, or cannot be read.", _REMEDY)
    with os.fdopen(descriptor, "rb") as file:
        header = file.read(20)
    if header and header[:16] != MAGIC:
        return failed("The database is no SQLite file.", _REMEDY)
    if header and header[18:20] != _WAL:
        return failed("The database is not in WAL mode.", _REMEDY)
    if path.with_name(f"{path.name}-journal").exists():
        return failed(
            "There is a rollback journal beside the database: a program that is not the node wrote "
            "to it and did not finish.",
            _REMEDY,
        )
    return ok("A SQLite database with a write-ahead log, and nothing of another program's.")


CHECK = Check(
    id="database-file",
    title="the database is the node's and nobody else's",
    examines="the file's header, and whether a `-journal` lies beside it",
    look=_look,
)

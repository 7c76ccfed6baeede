"""What the disk can do to the database."""

from __future__ import annotations

import errno
import sqlite3

from b3iq.errors import B3iqError

# Primary result codes (sqlite.org/rescode.html).
_FULL = {sqlite3.SQLITE_FULL}
_FAILED = {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN}


class DiskRefused(B3iqError):
    """The disk took no write; what was to be changed is as it was before."""

    code = "disk_unavailable"
    title = "The disk of the node takes no write"
    status = 503

    @classmethod
    def full(cls) -> DiskRefused:
        """No space is left."""
        return cls(
            "The disk that holds the node's state is full; nothing was changed.",
            remedy="Free some space there and try again.",
        )

    @classmethod
    def of(cls, error: OSError) -> DiskRefused:
        """What a failed file operation stands for."""
        return cls.full() if error.errno in {errno.ENOSPC, errno.EDQUOT} else cls.failed()

    @classmethod
    def failed(cls) -> DiskRefused:
        """It is read-only, or it fails."""
        return cls(
            "The disk that holds the node's state cannot be written; nothing was changed.",
            remedy="See why it is read-only or failing, then try again.",
        )


def refusal_of(error: BaseException | None) -> DiskRefused | None:
    """The refusal that an error of the driver stands for; None if the disk is not to blame."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in _FULL:
        return DiskRefused.full()
    return DiskRefused.failed() if code in _FAILED else None

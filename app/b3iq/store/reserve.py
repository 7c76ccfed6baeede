"""Disk space kept back for receipts, so that a full disk refuses changes before answers.

A file of zeros that is allocated while there is room. When the disk is full it shrinks step
by step, and the receipts of running work take its place; a change of the node's security
needs it whole, and so is refused first. A file system that copies on write (btrfs, ZFS) may
not give back what the file gave up.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path

from b3iq.store.errors import DiskRefused

# More than one transaction of a receipt needs, its write-ahead log included.
STEP = 1024 * 1024


class Reserve:
    """The file of `size` bytes, and its two movements."""

    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        self._size = size
        self._moving = threading.Lock()

    def fill(self) -> None:
        """Make it whole; costs one look when it is.

        Raises:
            DiskRefused: there is no room, or the disk takes no write.
        """
        try:
            with self._moving:
                flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
                descriptor = os.open(self._path, flags, 0o600)
                try:
                    if os.fstat(descriptor).st_size < self._size:
                        os.posix_fallocate(descriptor, 0, self._size)
                finally:
                    os.close(descriptor)
        except OSError as error:
            raise DiskRefused.of(error) from error

    def give(self) -> None:
        """See that there is room for the next receipt, for as long as the reserve lasts.

        What cannot be done here is told by the write that needs the room.
        """
        try:
            while _free(self._path.parent) < STEP:
                with self._moving:
                    left = self._path.stat().st_size
                    if left == 0:
                        return
                    os.truncate(self._path, max(0, left - STEP))
        except OSError:
            return


def _free(directory: Path) -> int:
    """Bytes that this process could still write there."""
    status = os.statvfs(directory)
    return status.f_bavail * status.f_frsize

"""What the node asked for: its spool is hostile input, read by root.

The directory belongs to root, and the node may make files in it. It is never listed: each verb
has one name, which is looked at and removed before anything is done about it, so that neither
the number of other files nor a crash makes it heard twice. Nothing is ever read out of a file,
and no link is followed.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

from b3iq.updates.requests import VERBS, Verb


def take(spool: Path) -> Verb | None:
    """The verb that was asked for, the weightiest if there were several; all are removed.

    A request counts only as an empty plain file of one name, made by root or by the group that
    the directory is open to. Whatever else stands at such a name is put away and says nothing.
    """
    found: list[Verb] = []
    with contextlib.suppress(FileNotFoundError), _opened(spool) as directory:
        group = os.fstat(directory).st_gid
        for verb in VERBS:
            try:
                status = os.stat(verb, dir_fd=directory, follow_symlinks=False)
            except FileNotFoundError:
                continue
            _put_away(verb, status, directory)
            if _is_request(status, group):
                found.append(verb)
    return found[0] if found else None


@contextlib.contextmanager
def _opened(spool: Path) -> Iterator[int]:
    descriptor = os.open(spool, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _is_request(status: os.stat_result, group: int) -> bool:
    return (
        stat.S_ISREG(status.st_mode)
        and status.st_size == 0
        and status.st_nlink == 1
        and (status.st_uid == os.geteuid() or status.st_gid == group)
    )


def _put_away(verb: str, status: os.stat_result, directory: int) -> None:
    """Remove what has a verb's name; a directory, which may be deep and full, is set aside."""
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISDIR(status.st_mode):
            os.unlink(verb, dir_fd=directory)
            return
        try:
            os.rmdir(verb, dir_fd=directory)
        except OSError:
            aside = f".refused-{secrets.token_hex(8)}"
            os.rename(verb, aside, src_dir_fd=directory, dst_dir_fd=directory)

"""The only code of the updater that writes to disk for good: durable, atomic, or refused.

Order of every publication: write beside the destination, flush the file system, rename,
flush the directory. A failed write or flush aborts and is never retried: after a failed
fsync the kernel may have dropped the pages, and a second fsync would report success.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from b3iq.updater.refusals import Busy, DiskFailed, NoSpace

_LIBC = ctypes.CDLL(None, use_errno=True)
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2  # linux/fs.h


@contextlib.contextmanager
def named_failures() -> Iterator[None]:
    """Turn an OSError of the body into a refusal that says what is safe.

    Raises:
        NoSpace: the file system or a quota is full.
        DiskFailed: any other failure.
    """
    try:
        yield
    except OSError as error:
        reason = f"{error.strerror or 'I/O error'}: {error.filename or 'a file'}"
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise NoSpace(
                f"The disk is full ({reason}).",
                remedy="The installed release is untouched. Free some space and run it again.",
            ) from error
        raise DiskFailed(
            f"A file operation failed ({reason}).",
            remedy="The installed release is untouched. Check permissions and the disk.",
        ) from error


@contextlib.contextmanager
def exclusive(lock: Path) -> Iterator[None]:
    """Hold the machine's one updater lock (flock(2)) while the body runs.

    Raises:
        Busy: another updater holds it.
    """
    with named_failures():
        make_directory(lock.parent, 0o700)
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Busy(
                "Another updater is running on this machine.", remedy="Wait until it is done."
            ) from error
        yield
    finally:
        os.close(descriptor)


def make_directory(path: Path, mode: int) -> None:
    """Make a directory with this mode; existing ones are left as they are.

    Missing parents get 0755, whatever the umask, because services must pass through them.
    """
    if path.is_dir():
        return
    make_directory(path.parent, 0o755)
    path.mkdir()
    path.chmod(mode)
    flush_directory(path.parent)


def fresh_directory(path: Path) -> None:
    """An empty 0700 directory; what an interrupted run left there is removed."""
    remove(path)
    make_directory(path, 0o700)


def flush_directory(path: Path) -> None:
    """fsync(2) a directory, so that renames in it are durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def flush_file_system(path: Path) -> None:
    """syncfs(2): one flush for a tree of thousands of files; reports write-back errors."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if _LIBC.syncfs(descriptor) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(path))
    finally:
        os.close(descriptor)


def hash_file(path: Path) -> tuple[str, int]:
    """Hex SHA-256 and length in bytes of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest(), file.tell()


def write_file(path: Path, data: bytes, mode: int) -> None:
    """Replace a file atomically and durably."""
    temporary = path.with_name(f".{path.name}.new")
    with contextlib.suppress(FileNotFoundError):
        temporary.unlink()
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fchmod(file.fileno(), mode)
        os.fsync(file.fileno())
    temporary.replace(path)
    flush_directory(path.parent)


def switch_link(link: Path, target: str) -> None:
    """Point a symbolic link somewhere else by one rename, and make it durable."""
    temporary = link.with_name(f".{link.name}.new")
    with contextlib.suppress(FileNotFoundError):
        temporary.unlink()
    temporary.symlink_to(target)
    temporary.replace(link)
    flush_directory(link.parent)


def publish(incoming: Path, final: Path) -> None:
    """Move a complete tree to its final path; what stood there goes after the switch.

    An existing tree is exchanged in one step (renameat2(2)), so that a reader finds the
    old one or the new one and never neither.
    """
    flush_file_system(incoming)
    if final.is_symlink() or (final.exists() and not final.is_dir()):
        raise OSError(errno.ENOTDIR, "not a directory", str(final))
    if final.is_dir():
        _exchange(incoming, final)
        flush_directory(final.parent)
        remove(incoming)
    else:
        incoming.rename(final)
        flush_directory(final.parent)
    flush_directory(incoming.parent)


def swap(tree: Path, place: Path) -> None:
    """Bring a tree to its place in one step; what stood there is then where the tree was."""
    if place.is_dir():
        _exchange(tree, place)
    else:
        tree.rename(place)
    flush_directory(place.parent)


def _exchange(one: Path, other: Path) -> None:
    names = (os.fsencode(one), os.fsencode(other))
    if _LIBC.renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(other))


def remove(path: Path) -> None:
    """Remove a file, a link or a tree; nothing there is fine."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def require_space(path: Path, needed: int) -> None:
    """Check free space on the file system that holds `path` (or its nearest parent).

    Raises:
        NoSpace: fewer than `needed` bytes and a margin are free.
    """
    while not path.exists():
        path = path.parent
    margin = 64 * 1024 * 1024
    free = shutil.disk_usage(path).free
    if free < needed + margin:
        raise NoSpace(
            f"{path} has {free >> 20} MiB free; the release needs {(needed + margin) >> 20} MiB.",
            remedy="Nothing was installed. Free some space and run it again.",
        )

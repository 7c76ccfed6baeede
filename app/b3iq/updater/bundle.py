"""Bundles for sites without a network: a repository as `export` writes it, in one tar file.

A bundle is trusted as little as a server: it is unpacked into a directory of root's, and that
directory goes through the same verification as any repository. So this module cares only that
unpacking does no harm: plain files of a repository's form and nothing else, no path that leads
out, no file twice, no sparse file that grows, and not more than there is room for.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import IO

from backports import tarfile

from b3iq.updater import fsops
from b3iq.updater.refusals import ArchiveRefused

_ENTRIES_LIMIT = 10_000
_CHUNK = 1024 * 1024
_NAME = re.compile(r"(metadata|targets)(/[A-Za-z0-9][A-Za-z0-9._+-]*){1,8}")
_REMEDY = "Make the bundle with `b3iq update export-bundle`, and copy it whole."
# What tarfile raises at malformed input, documented or not.
_UNREADABLE = (tarfile.TarError, EOFError, ValueError, LookupError, ArithmeticError)


def write(repository: Path, output: Path) -> None:
    """Pack a repository; equal repositories make equal bundles.

    Raises:
        DiskFailed, NoSpace: nothing is left at `output`.
    """
    beside = output.with_name(f".{output.name}.new")
    with fsops.named_failures():
        try:
            with beside.open("wb") as file, tarfile.open(fileobj=file, mode="w") as archive:
                for path in sorted(repository.rglob("*")):
                    if path.is_file():
                        _add(archive, path, str(path.relative_to(repository)))
                archive.close()
                file.flush()
                os.fsync(file.fileno())
            beside.replace(output)
            fsops.flush_directory(output.absolute().parent)
        finally:
            fsops.remove(beside)


def _add(archive: tarfile.TarFile, path: Path, name: str) -> None:
    member = tarfile.TarInfo(name)
    member.size = path.stat().st_size
    member.mode = 0o644
    with path.open("rb") as file:
        archive.addfile(member, file)


def unpack(bundle: Path, directory: Path) -> None:
    """Unpack into a fresh directory that only root reaches.

    Raises:
        ArchiveRefused: it is no bundle; what was unpacked is removed.
        NoSpace, DiskFailed: likewise.
    """
    with fsops.named_failures():
        # O_NONBLOCK: opening a FIFO must not hang before it is recognized.
        descriptor = os.open(bundle, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise ArchiveRefused("The bundle is not a plain file.", remedy=_REMEDY)
            fsops.require_space(directory.parent, status.st_size)
            fsops.fresh_directory(directory)
            try:
                _unpack(file, directory)
            except _UNREADABLE as error:
                fsops.remove(directory)
                raise ArchiveRefused(
                    f"The bundle is not a readable tar file: {error}.", remedy=_REMEDY
                ) from error
            except BaseException:
                fsops.remove(directory)
                raise


def _unpack(file: IO[bytes], directory: Path) -> None:
    # Uncompressed, and without sparse files: it cannot hold more than its own length.
    with tarfile.open(fileobj=file, mode="r:") as archive:
        for number, member in enumerate(archive):
            if number >= _ENTRIES_LIMIT:
                raise ArchiveRefused("The bundle has too many files.", remedy=_REMEDY)
            _unpack_one(archive, member, directory)


def _unpack_one(archive: tarfile.TarFile, member: tarfile.TarInfo, directory: Path) -> None:
    plain = member.type in (tarfile.REGTYPE, tarfile.AREGTYPE) and not member.issparse()
    if not plain or not _NAME.fullmatch(member.name):
        raise ArchiveRefused(
            "The bundle holds something other than the files of a repository.", remedy=_REMEDY
        )
    path = directory / member.name
    try:
        fsops.make_directory(path.parent, 0o700)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except (FileExistsError, IsADirectoryError) as error:
        raise ArchiveRefused("The bundle holds a file twice.", remedy=_REMEDY) from error
    content = archive.extractfile(member)
    with os.fdopen(descriptor, "wb") as written:
        while content is not None and (chunk := content.read(_CHUNK)):
            written.write(chunk)
        if written.tell() != member.size:
            raise ArchiveRefused("The bundle ends too early.", remedy=_REMEDY)

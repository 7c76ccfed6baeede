"""Unpack a staged archive: hash what is read, write only plain files and directories.

The archive was hashed when it was staged. It is hashed again here while it is unpacked,
and the caller publishes the tree only when this function returns, so the bytes that were
verified are the bytes that are used. Archives of a release hold no link, device, sparse
file or duplicate; anything of that kind means that it is not ours. The interpreter of
Debian 12 has no extraction filter (PEP 706): `backports.tarfile` brings it.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import zstandard
from backports import tarfile

from b3iq.updater.manifest import Archive
from b3iq.updater.refusals import ArchiveRefused, ManifestMismatch, TargetTampered, TooLarge

_CHUNK = 1024 * 1024
# A decompressor may ask for this much memory, no more.
_WINDOW_LIMIT = 128 * 1024 * 1024
# Headers, padding and pax records around each entry, and the end of the archive.
_ENTRY_OVERHEAD = 4096
_TAIL = 1024 * 1024
# What tarfile and the decompressors raise at malformed input, documented or not.
_UNREADABLE = (
    tarfile.TarError, zstandard.ZstdError, zlib.error, EOFError, gzip.BadGzipFile,
    ValueError, LookupError, ArithmeticError,
)  # fmt: skip
_PLAIN = (tarfile.REGTYPE, tarfile.AREGTYPE)


@dataclass(frozen=True)
class Modes:
    """Modes that the unpacked tree gets, whatever the archive says; `group` -1 keeps ours."""

    directory: int = 0o755
    file: int = 0o644
    executable: int = 0o755
    group: int = -1


class _HashingReader(io.RawIOBase):
    """Reads a file and hashes every byte of it."""

    def __init__(self, file: IO[bytes], progress: Callable[[int], None]) -> None:
        self._file = file
        self._progress = progress
        self.sha256 = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override] # typeshed's Buffer is 3.12's
        data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        self.sha256.update(data)
        self._progress(len(data))
        return len(data)


class _LimitedReader:
    """Ends in TooLarge when more than `limit` bytes come out of the decompressor."""

    def __init__(self, file: IO[bytes] | gzip.GzipFile, limit: int) -> None:
        self._file = file
        self._left = limit

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size if size >= 0 else _CHUNK)
        self._left -= len(data)
        if self._left < 0:
            raise TooLarge("An archive unpacks to more than the manifest says.")
        return data


def unpack(
    archive_path: Path,
    archive: Archive,
    destination: Path,
    modes: Modes,
    progress: Callable[[int], None],
) -> None:
    """Unpack into an existing empty directory.

    Args:
        archive_path: the staged file.
        archive: what the manifest says about it.
        progress: called with the number of compressed bytes read since the last call.

    Raises:
        ArchiveRefused, TooLarge, TargetTampered, ManifestMismatch: `destination` then
            holds a part of the tree and must be removed.
    """
    with archive_path.open("rb") as file:
        hashing = _HashingReader(file, progress)
        source = io.BufferedReader(hashing, _CHUNK)
        limit = archive.unpacked_bytes + archive.entries * _ENTRY_OVERHEAD + _TAIL
        try:
            with _decompressed(source, archive.target) as plain:
                limited = _LimitedReader(plain, limit)
                written = _Tree(destination, archive, modes).write(limited)
                while limited.read(_CHUNK):
                    pass
            while source.read(_CHUNK):
                pass
        except _UNREADABLE as error:
            raise ArchiveRefused(f"{archive.target} is not a readable archive: {error}.") from error
        if hashing.sha256.hexdigest() != archive.sha256:
            raise TargetTampered(f"{archive.target} changed between staging and unpacking.")
    if written != (archive.entries, archive.unpacked_bytes):
        raise ManifestMismatch(
            f"{archive.target} holds {written[0]} entries and {written[1]} bytes, not what the "
            "manifest says."
        )


def _decompressed(source: IO[bytes], target: str) -> IO[bytes] | gzip.GzipFile:
    if target.endswith(".gz"):
        return gzip.GzipFile(fileobj=source, mode="rb")
    decompressor = zstandard.ZstdDecompressor(max_window_size=_WINDOW_LIMIT)
    return decompressor.stream_reader(source, read_across_frames=True, closefd=False)


class _Tree:
    """Writes members of one archive below one directory."""

    def __init__(self, destination: Path, archive: Archive, modes: Modes) -> None:
        self._destination = destination
        self._archive = archive
        self._modes = modes
        self._directories = {""}
        self._names: set[str] = set()
        self._bytes = 0

    def write(self, stream: _LimitedReader) -> tuple[int, int]:
        """All members; returns the number of entries and the bytes of all files."""
        with tarfile.open(fileobj=stream, mode="r|", errorlevel=1) as archive:
            for member in archive:
                self._check(member)
                path = self._destination / member.name
                if member.isdir():
                    path.mkdir(mode=0o700)
                    self._directories.add(member.name)
                else:
                    self._file(archive, member, path)
                self._names.add(member.name)
        self._finish()
        return len(self._names), self._bytes

    def _check(self, member: tarfile.TarInfo) -> None:
        name = member.name
        parts = name.split("/")
        if any(part in {"", ".", ".."} for part in parts) or not name.isprintable():
            raise self._refused(name, "is not a plain relative path")
        if not (member.isdir() or member.type in _PLAIN) or member.sparse is not None:
            raise self._refused(name, "is neither a plain file nor a directory")
        if name in self._names:
            raise self._refused(name, "comes twice")
        if "/".join(parts[:-1]) not in self._directories:
            raise self._refused(name, "lies in no directory of the archive")
        if len(self._names) >= self._archive.entries:
            raise TooLarge(f"{self._archive.target} holds more entries than the manifest says.")
        self._bytes += member.size
        if self._bytes > self._archive.unpacked_bytes:
            raise TooLarge(f"{self._archive.target} holds more bytes than the manifest says.")
        try:
            tarfile.data_filter(member, str(self._destination))
        except tarfile.FilterError as error:
            raise self._refused(name, "does not pass the data filter") from error

    def _refused(self, name: str, fault: str) -> ArchiveRefused:
        return ArchiveRefused(
            f"{self._archive.target}: {name!a} {fault}.",
            remedy="Nothing was installed. Ask who published it.",
        )

    def _file(self, archive: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        content = archive.extractfile(member)
        if content is None:
            raise self._refused(member.name, "has no content")
        with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
            while chunk := content.read(_CHUNK):
                file.write(chunk)
            executable = member.mode & 0o100
            if self._modes.group >= 0:
                os.fchown(file.fileno(), -1, self._modes.group)
            os.fchmod(file.fileno(), self._modes.executable if executable else self._modes.file)

    def _finish(self) -> None:
        """Open the directories only now, deepest first: until here they were 0700."""
        for name in sorted(self._directories, reverse=True):
            path = self._destination / name
            os.chown(path, -1, self._modes.group)
            path.chmod(self._modes.directory)

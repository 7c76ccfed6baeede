"""Reproducible archives: the same tree gives the same bytes, whoever packs it and when."""

from __future__ import annotations

import contextlib
import gzip
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import zstandard

from b3iq.errors import B3iqError
from b3iq.updater.fsops import hash_file

# 1980-01-01, the oldest time that every archive format can carry.
_MTIME = 315532800
# Level 10 takes a few seconds for the runtime layer; higher levels save little.
_ZSTD_LEVEL = 10
# zstd's output depends on whether it works in jobs, not on how many run at once.
_ZSTD_THREADS = 2


class BuildFailed(B3iqError):
    """A release cannot be built from what is there."""

    code = "build_failed"
    title = "The release cannot be built"


@dataclass(frozen=True)
class Packed:
    """An archive and what it unpacks to (see `b3iq.updater.manifest.Archive`)."""

    path: Path
    sha256: str
    length: int
    unpacked_bytes: int
    entries: int


def tree_bytes(tree: Path) -> int:
    """Sum of the sizes of all files, for a progress bar."""
    return sum(path.stat().st_size for path in tree.rglob("*") if path.is_file())


def pack(tree: Path, output: Path, advance: Callable[[int], None]) -> Packed:
    """Pack a tree of plain files and directories; the suffix of `output` says how.

    Args:
        advance: called with the number of file bytes packed since the last call.

    Raises:
        BuildFailed: the tree holds a link or something else that no layer may hold.
    """
    unpacked = entries = 0
    with _compressed(output) as stream, tarfile.open(fileobj=stream, mode="w|") as archive:
        for path in sorted(tree.rglob("*"), key=lambda path: path.relative_to(tree).parts):
            member = _member(path, str(path.relative_to(tree)))
            entries += 1
            if member.isdir():
                archive.addfile(member)
            else:
                with path.open("rb") as file:
                    archive.addfile(member, file)
                unpacked += member.size
                advance(member.size)
    sha256, length = hash_file(output)
    return Packed(output, sha256, length, unpacked, entries)


def _member(path: Path, name: str) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.mtime = _MTIME
    if path.is_symlink() or not (path.is_dir() or path.is_file()):
        raise BuildFailed(
            f"{name} is neither a plain file nor a directory.",
            remedy="Leave it out of the layer: a host unpacks nothing else.",
        )
    if path.is_dir():
        member.type = tarfile.DIRTYPE
        member.mode = 0o755
    else:
        status = path.stat()
        member.size = status.st_size
        member.mode = 0o755 if status.st_mode & 0o100 else 0o644
    return member


@contextlib.contextmanager
def _compressed(output: Path) -> Iterator[IO[bytes]]:
    with output.open("wb") as file:
        if output.name.endswith(".gz"):
            with gzip.GzipFile("", "wb", 6, file, mtime=0) as stream:
                yield stream  # type: ignore[misc] # a GzipFile is a binary stream
        else:
            compressor = zstandard.ZstdCompressor(level=_ZSTD_LEVEL, threads=_ZSTD_THREADS)
            with compressor.stream_writer(file, closefd=False) as stream:
                yield stream

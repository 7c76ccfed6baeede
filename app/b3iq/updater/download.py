"""Download a file whose length and SHA-256 are known, keeping what an interrupted run fetched.

1. A file that is there and right is not fetched again; one that is too long goes.
2. There is room for what is missing.
3. The bytes come from where the partial file ends. A source that knows no ranges begins
   anew, and one that stops early is asked again, a bounded number of times.
4. Not one byte past the known length is written.
5. The digest over everything, old bytes and new, is the known one. A resumed file that is
   not right is fetched once more from the beginning: its old bytes may have been at fault.

A partial file stays where the source failed, so that the next run goes on there; a file that
is wrong is removed. Whoever uses the file hashes it again while using it.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tuf.api.exceptions import DownloadError, DownloadHTTPError, SlowRetrievalError

from b3iq.updater import fsops, refusals
from b3iq.updater.fetch import ResumableFetcher
from b3iq.updater.progress import Advance

_CHUNK = 1024 * 1024
# A source that breaks off is asked again this often, anew after each piece worth having.
_ATTEMPTS = 4
_WORTH_BYTES = 64 * 1024 * 1024
_RANGE_NOT_SATISFIABLE = 416


@dataclass(frozen=True)
class Wanted:
    """A file that somebody trusted has described.

    Attributes:
        name: what people and refusals call it.
        length: bytes.
    """

    name: str
    url: str
    sha256: str
    length: int


def download(fetcher: ResumableFetcher, wanted: Wanted, path: Path, advance: Advance) -> None:
    """Bring `path`, in a directory that only root may enter, to be the wanted file.

    Args:
        advance: called with the number of bytes gained; with less than 0 where bytes are lost.

    Raises:
        TooLarge, TargetTampered: the source has another file; nothing is kept of it.
        RepositoryUnreachable: the source failed; what was fetched stays for the next run.
        NoSpace: too little room is left.
        OSError: the disk failed; see `fsops.named_failures`.
    """
    with _opened(path) as file:
        partial = _Partial(file, wanted, advance)
        resumed = partial.resume()  # 1
        fsops.require_space(path.parent, wanted.length - partial.size)  # 2
        try:
            _complete(fetcher, partial)
            if resumed and not partial.is_right:  # 5
                partial.restart()
                _complete(fetcher, partial)
            if not partial.is_right:
                raise _another_file(wanted)
        except (refusals.TooLarge, refusals.TargetTampered):
            fsops.remove(path)
            raise
        file.flush()
        os.fsync(file.fileno())


def _complete(fetcher: ResumableFetcher, partial: _Partial) -> None:
    """Step 3."""
    attempts = _ATTEMPTS
    while partial.size < partial.wanted.length:
        before = partial.size
        failed = None
        try:
            partial.take(fetcher)
        except DownloadError as error:
            failed = error
        if isinstance(failed, DownloadHTTPError) and failed.status_code == _RANGE_NOT_SATISFIABLE:
            raise _another_file(partial.wanted) from failed
        if failed is None and partial.size <= before < partial.wanted.length:
            raise _another_file(partial.wanted)  # it ended, and there is no more of it
        attempts = _ATTEMPTS if partial.size - before >= _WORTH_BYTES else attempts - 1
        hopeless = isinstance(failed, SlowRetrievalError | DownloadHTTPError)
        if partial.size < partial.wanted.length and (hopeless or attempts == 0):
            raise _unreachable(partial.wanted, failed) from failed


class _Partial:
    """A file that grows, and the digest over all of it."""

    def __init__(self, file: IO[bytes], wanted: Wanted, advance: Callable[[int], None]) -> None:
        self.wanted = wanted
        self.size = 0
        self._file = file
        self._advance = advance
        self._digest = hashlib.sha256()

    @property
    def is_right(self) -> bool:
        """Whether it is the wanted file."""
        complete = self.size == self.wanted.length
        return complete and self._digest.hexdigest() == self.wanted.sha256

    def resume(self) -> bool:
        """Go on from what is in the file; whether there is anything."""
        if os.fstat(self._file.fileno()).st_size > self.wanted.length:
            self.restart()
        while chunk := self._file.read(_CHUNK):
            self._count(chunk)
        return self.size > 0

    def restart(self) -> None:
        """Begin anew."""
        self._file.seek(0)
        self._file.truncate()
        self._advance(-self.size)
        self.size = 0
        self._digest = hashlib.sha256()

    def take(self, fetcher: ResumableFetcher) -> None:
        """Append what the source has from here on.

        Raises:
            DownloadError: it broke off.
            TooLarge: it goes on past the known length.
        """
        body = fetcher.fetch_from(self.wanted.url, self.size)
        with contextlib.closing(_generator(body.chunks)) as chunks:
            if body.start != self.size:
                self.restart()
            for chunk in chunks:
                if self.size + len(chunk) > self.wanted.length:  # 4
                    raise refusals.TooLarge(
                        f"{self.wanted.name} goes on past its {self.wanted.length} known bytes."
                    )
                self._file.write(chunk)
                self._count(chunk)

    def _count(self, chunk: bytes) -> None:
        self._digest.update(chunk)
        self.size += len(chunk)
        self._advance(len(chunk))


def _generator(chunks: Iterator[bytes]) -> Generator[bytes, None, None]:
    """As a generator, which can be closed in the middle."""
    yield from chunks


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    """Open for resuming; a link or another kind of file is an error, not a place to write."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags, 0o600), "r+b") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
            raise OSError(errno.EINVAL, "not a plain file", str(path))
        yield file


def _another_file(wanted: Wanted) -> refusals.TargetTampered:
    return refusals.TargetTampered(
        f"{wanted.name} is not the file that was signed.",
        remedy="Nothing was installed. Get it again from its publisher.",
    )


def _unreachable(wanted: Wanted, error: Exception | None) -> refusals.RepositoryUnreachable:
    why = f": {error}" if error is not None else ""
    return refusals.RepositoryUnreachable(
        f"{wanted.name} broke off{why}.",
        remedy="What was fetched is kept: run it again, or check the address.",
    )

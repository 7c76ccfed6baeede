"""Where repository bytes come from: a directory or a URL, through one TUF fetcher.

Neither is trusted. Lengths are capped by the caller; here a file must be a plain file
and a server must keep a minimal pace.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from urllib import parse

from tuf.api.exceptions import DownloadError, DownloadHTTPError, SlowRetrievalError
from tuf.ngclient import FetcherInterface, Urllib3Fetcher

from b3iq.errors import UsageError

_CHUNK = 1024 * 1024
_SCHEME = "directory:///"


class DirectoryFetcher(FetcherInterface):
    """Reads a repository from a directory: an offline medium, or a copy on a host."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def _fetch(self, url: str) -> Iterator[bytes]:
        parts = url.removeprefix(_SCHEME).split("/")
        if any(part in {"", ".", ".."} or "\0" in part for part in parts):
            raise DownloadError(f"not a file name: {url}")
        try:
            yield from _read_plain_file(self._directory.joinpath(*parts))
        except FileNotFoundError as error:
            raise DownloadHTTPError(f"no file {'/'.join(parts)}", 404) from error
        except OSError as error:
            raise DownloadError(f"{'/'.join(parts)}: {error.strerror}") from error


def _read_plain_file(path: Path) -> Iterator[bytes]:
    # O_NONBLOCK: opening a FIFO must not hang before it is recognized.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise DownloadError(f"{path.name} is not a plain file")
        while chunk := file.read(_CHUNK):
            yield chunk


class UrlFetcher(Urllib3Fetcher):
    """Reads a repository over HTTP(S); a server that drips bytes is given up.

    python-tuf limits the gap between two reads and not the pace, so that a slow server
    could hold an updater for days.
    """

    grace_s = 30.0
    floor_bytes_per_s = 8 * 1024

    def __init__(self) -> None:
        super().__init__(chunk_size=64 * 1024, app_user_agent="b3iq-updater")

    def _fetch(self, url: str) -> Iterator[bytes]:
        started = time.monotonic()
        received = 0
        for chunk in super()._fetch(url):
            received += len(chunk)
            elapsed = time.monotonic() - started
            if elapsed > self.grace_s and received / elapsed < self.floor_bytes_per_s:
                raise SlowRetrievalError(f"{url}: {received} bytes in {elapsed:.0f} s")
            yield chunk


class Repository:
    """An untrusted TUF repository: `metadata/` and `targets/` under one place."""

    def __init__(self, location: str) -> None:
        """Take a directory, `http://` or `https://` URL.

        Raises:
            UsageError: `location` is neither.
        """
        self.location = location
        scheme = parse.urlsplit(location).scheme
        self.fetcher: FetcherInterface
        if scheme in {"http", "https"}:
            self.fetcher = UrlFetcher()
            base = location.rstrip("/") + "/"
        elif Path(location).is_dir():
            self.fetcher = DirectoryFetcher(Path(location))
            base = _SCHEME
        else:
            raise UsageError(
                f"{location} is neither a directory nor an http(s) address.",
                remedy="Give the directory that holds metadata/ and targets/.",
            )
        self.metadata_url = f"{base}metadata/"
        self._targets_url = f"{base}targets/"

    def target_url(self, target: str, sha256: str) -> str:
        """Address of a target in a repository with consistent snapshots (TUF spec 6.2)."""
        return self._targets_url + target_file(target, sha256)


def target_file(target: str, sha256: str) -> str:
    """File name of a target below `targets/`: its digest goes before the base name."""
    directory, separator, name = target.rpartition("/")
    return f"{directory}{separator}{sha256}.{name}"

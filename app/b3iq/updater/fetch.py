"""Where repository bytes come from: a directory or a URL, through one TUF fetcher.

Neither is trusted. Lengths are capped by the caller; here a file must be a plain file
and a server must keep a minimal pace.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from urllib import parse

from tuf.api.exceptions import DownloadError, DownloadHTTPError
from tuf.ngclient import FetcherInterface

from b3iq.errors import UsageError
from b3iq.updater import http

_CHUNK = 1024 * 1024
_SCHEME = "directory:///"


class ResumableFetcher(FetcherInterface):
    """A TUF fetcher that can also begin within a file."""

    def fetch_from(self, url: str, start: int) -> http.Body:
        """A file from an offset on, or from its beginning where the source knows no ranges.

        Raises:
            DownloadError: it cannot be had; also while the chunks are read.
        """
        raise NotImplementedError

    def _fetch(self, url: str) -> Iterator[bytes]:
        return self.fetch_from(url, 0).chunks


class DirectoryFetcher(ResumableFetcher):
    """Reads a repository from a directory: an offline medium, or a copy on a host."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def fetch_from(self, url: str, start: int) -> http.Body:
        """Read a file from an offset on."""
        return http.Body(start, self._read(url, start))

    def _read(self, url: str, start: int) -> Iterator[bytes]:
        parts = url.removeprefix(_SCHEME).split("/")
        if any(part in {"", ".", ".."} or "\0" in part for part in parts):
            raise DownloadError(f"not a file name: {url}")
        try:
            yield from _read_plain_file(self._directory.joinpath(*parts), start)
        except FileNotFoundError as error:
            raise DownloadHTTPError(f"no file {'/'.join(parts)}", 404) from error
        except OSError as error:
            raise DownloadError(f"{'/'.join(parts)}: {error.strerror}") from error


def _read_plain_file(path: Path, start: int) -> Iterator[bytes]:
    # O_NONBLOCK: opening a FIFO must not hang before it is recognized.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise DownloadError(f"{path.name} is not a plain file")
        file.seek(start)
        while chunk := file.read(_CHUNK):
            yield chunk


class UrlFetcher(ResumableFetcher):
    """Reads a repository over HTTP(S); a server that drips bytes is given up (`http.Pace`)."""

    grace_s = 30.0
    floor_bytes_per_s: float = 8 * 1024

    def __init__(self) -> None:
        self._client = http.Client(http.Pace(self.grace_s, self.floor_bytes_per_s))

    def fetch_from(self, url: str, start: int) -> http.Body:
        """Ask for a range; see `http.Client.get`."""
        return self._client.get(url, start)


class Repository:
    """An untrusted TUF repository: `metadata/` and `targets/` under one place."""

    def __init__(self, location: str) -> None:
        """Take a directory, `http://` or `https://` URL.

        Raises:
            UsageError: `location` is neither.
        """
        self.location = location
        scheme = parse.urlsplit(location).scheme
        self.fetcher: ResumableFetcher
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

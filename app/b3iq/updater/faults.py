"""What the TUF client says of a repository, as the refusals that operators know."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from tuf.api import exceptions
from tuf.api.metadata import Metadata, Root
from tuf.api.serialization import DeserializationError

from b3iq.updater import refusals
from b3iq.updater.fetch import Repository

_STALE = "Ask for a repository that was refreshed, or correct the clock of this machine."


@contextlib.contextmanager
def named(repository: Repository, trusted_root: bytes) -> Iterator[None]:
    """Give every fault of the TUF client its named refusal.

    Raises:
        Refused: one of its subclasses.
    """
    try:
        yield
    except (exceptions.RepositoryError, exceptions.DownloadError) as error:
        raise _refusal(error, repository, trusted_root) from error


def _refusal(error: Exception, repository: Repository, trusted_root: bytes) -> refusals.Refused:
    said = f"{error}".rstrip(".") + "."
    match error:
        case exceptions.ExpiredMetadataError():
            return refusals.MetadataExpired(said, remedy=_STALE)
        case exceptions.UnsignedMetadataError():
            return _unsigned(said, repository, trusted_root)
        case exceptions.BadVersionNumberError() | exceptions.LengthOrHashMismatchError():
            return refusals.MetadataMismatch(
                said, remedy="Get the whole repository again, all files from one moment."
            )
        case DeserializationError():
            return refusals.MetadataMalformed(said, remedy="Get the repository again.")
        case exceptions.DownloadLengthMismatchError():
            return refusals.TooLarge(said, remedy="The repository is broken or hostile.")
        case exceptions.DownloadError():
            return unreachable(repository, error)
        case _:
            return refusals.MetadataMismatch(said, remedy="Get the repository again.")


def unreachable(repository: Repository, error: Exception) -> refusals.RepositoryUnreachable:
    """The refusal for a file that cannot be had."""
    return refusals.RepositoryUnreachable(
        f"{repository.location}: {error}.", remedy="Check the address or the medium, and run again."
    )


def _unsigned(said: str, repository: Repository, trusted_root: bytes) -> refusals.Refused:
    """Tell a repository with other roots from one whose signatures are short."""
    try:
        version = Metadata[Root].from_bytes(trusted_root).signed.version
        own = b"".join(repository.fetcher.fetch(f"{repository.metadata_url}{version}.root.json"))
    except (exceptions.DownloadError, exceptions.RepositoryError):
        own = trusted_root
    if own != trusted_root:
        return refusals.WrongRoot(
            f"The repository has another root of version {version} than the pinned one ({said})",
            remedy="Use the root file that belongs to this repository, as its publisher gave it.",
        )
    return refusals.ThresholdNotMet(
        said, remedy="Nothing was installed. Get the repository again from its publisher."
    )

"""One run of a verb: the lock, the floors, the clock, and the verification between them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from b3iq.errors import UsageError
from b3iq.updater import floors as floors_
from b3iq.updater import fsops, trust
from b3iq.updater.fetch import Repository
from b3iq.updater.floors import Floors
from b3iq.updater.manifest import digest
from b3iq.updater.refusals import WrongRoot
from b3iq.updater.trust import Verified

_ROOT_LENGTH_LIMIT = 512 * 1024


@dataclass(frozen=True)
class Request:
    """What the operator asked to trust.

    Attributes:
        state: directory of this machine's floors and lock.
        floors_required: a release is installed, so floors must be there.
        reset_floors: the operator accepts the repository anew.
        dry: leave no trace, not even a raised floor.
    """

    repository: Repository
    trusted_root: bytes
    channel: str
    state: Path
    floors_required: bool
    reset_floors: bool = False
    dry: bool = False

    @property
    def floors_file(self) -> Path:
        """Where this machine's floors are."""
        return self.state / floors_.FILE_NAME


@contextlib.contextmanager
def verified(request: Request) -> Iterator[tuple[Verified, Floors]]:
    """Hold the lock, verify, raise the floors; the body then uses what was verified.

    Raises:
        Refused: with the reason; the body does not run.
    """
    lock = contextlib.nullcontext() if request.dry else fsops.exclusive(request.state / "lock")
    with lock:
        now = datetime.now(UTC)
        floors = _floors(request)
        # Metadata is kept in a temporary directory while it is verified.
        with fsops.named_failures():
            release = trust.verify(
                request.repository, request.trusted_root, floors, request.channel, now
            )
        floors = floors_.raised(floors, release.seen, now)
        floors = floors_.raised_provenance(floors, required=release.provenance.required)
        if not request.dry:
            floors_.write(request.floors_file, floors)
        yield release, floors


def _floors(request: Request) -> Floors:
    fresh = floors_.first(digest(request.trusted_root))
    if request.reset_floors:
        return fresh
    return floors_.read(request.floors_file, required=request.floors_required) or fresh


def read_trusted_root(path: Path) -> bytes:
    """The pinned root's bytes.

    Raises:
        UsageError: it cannot be read.
        WrongRoot: it is far longer than a root is.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(_ROOT_LENGTH_LIMIT + 1)
    except OSError as error:
        raise UsageError(
            f"The trusted root {path} cannot be read: {error.strerror}.",
            remedy="Give the root file that the publisher handed to you.",
        ) from error
    if len(raw) > _ROOT_LENGTH_LIMIT:
        raise WrongRoot(
            f"{path} is too long for a root file.",
            remedy="Use the root file that the publisher handed out.",
        )
    return raw

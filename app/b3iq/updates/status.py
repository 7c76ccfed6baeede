"""The status file: what the updater tells the node, the owner's page and the metrics.

Evolution law (format ``b3iq-update-status-v1``): the updater of one release writes it and the
node of another may read it, so a field is never renamed, retyped or removed, and a new one has
a new format name. It is readable by everybody: no path, no address of a repository, no secret.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, ValidationError

from b3iq.schemas import Closed, Sha256

STATUS_FORMAT: Literal["b3iq-update-status-v1"] = "b3iq-update-status-v1"
_LENGTH_LIMIT = 64 * 1024

Result = Literal["passed", "waiting", "failed"]
Word = Annotated[str, Field(pattern="^[a-z][a-z0-9_-]*$", max_length=64)]


class GateResult(Closed):
    """One gate of the last decision; `waiting` ones pass by themselves in time."""

    id: Word
    result: Result
    reason: str
    remedy: str


class Release(Closed):
    """A release by its version and its place in the order of releases."""

    version: str
    sequence: int


class Chain(Closed):
    """What vouched for the release that was looked at last.

    Attributes:
        expires: by role of the metadata.
    """

    channel: str
    root_version: int
    manifest_sha256: Sha256
    source_commit: str
    archives: int
    expires: dict[str, AwareDatetime]


class UpdateStatus(Closed):
    """`update-status.json`.

    Attributes:
        written_at: when the updater wrote it.
        checked_at: when a repository was last verified; None before the first time.
        installed: what `current` leads to.
        available: what the channel offers, if that is newer.
        rollback_to: where a rollback would lead.
        outcome: how the last thing that changed the node ended, in words; empty before it.
        automatic: whether the timer installs, or only looks.
    """

    format: Literal["b3iq-update-status-v1"]
    written_at: AwareDatetime
    checked_at: AwareDatetime | None
    installed: Release | None
    available: Release | None
    rollback_to: Release | None
    outcome: str
    automatic: bool
    gates: tuple[GateResult, ...]
    chain: Chain | None


def read(path: Path) -> UpdateStatus | None:
    """The status; None where no updater of this kind has written one that can be read."""
    try:
        with path.open("rb") as file:
            return UpdateStatus.model_validate_json(file.read(_LENGTH_LIMIT))
    except (OSError, ValidationError):
        return None

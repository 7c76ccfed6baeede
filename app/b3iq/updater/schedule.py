"""What the updater remembers between two decisions, and what it may forget without harm.

Losing the file makes the node wait longer, never shorter: a delay and a bound begin anew, and
the node gets another place in the line of waves.
"""

from __future__ import annotations

import secrets
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, ValidationError

from b3iq.schemas import Closed, Sha256
from b3iq.updater import fsops

FILE_NAME = "schedule.json"
SCHEDULE_FORMAT: Literal["b3iq-update-schedule-v1"] = "b3iq-update-schedule-v1"


class Schedule(Closed):
    """`schedule.json`.

    Attributes:
        local_id: random; decides about this node's place in waves and leaves it never.
        manifest_sha256: of the release that was offered last.
        first_seen: when it was offered first.
        busy_since: since when answers have held it back; None while they do not.
    """

    format: Literal["b3iq-update-schedule-v1"]
    local_id: Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
    manifest_sha256: Sha256 | None
    first_seen: AwareDatetime | None
    busy_since: AwareDatetime | None


def read(path: Path) -> Schedule:
    """The schedule; a new one where there is none or it is damaged."""
    try:
        return Schedule.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return Schedule(
            format=SCHEDULE_FORMAT,
            local_id=secrets.token_hex(16),
            manifest_sha256=None,
            first_seen=None,
            busy_since=None,
        )


def write(path: Path, schedule: Schedule) -> None:
    """Write the schedule durably.

    Raises:
        DiskFailed, NoSpace: it could not be made durable.
    """
    with fsops.named_failures():
        fsops.make_directory(path.parent, 0o700)
        fsops.write_file(path, schedule.model_dump_json(indent=1).encode() + b"\n", 0o600)


def seen(schedule: Schedule, manifest_sha256: str, now: datetime) -> Schedule:
    """The schedule after a release was offered."""
    if schedule.manifest_sha256 == manifest_sha256 and schedule.first_seen is not None:
        return schedule
    return schedule.model_copy(
        update={"manifest_sha256": manifest_sha256, "first_seen": now, "busy_since": None}
    )


def held_back(schedule: Schedule, *, busy: bool, now: datetime) -> Schedule:
    """The schedule after answers held an update back, or did not."""
    since = (schedule.busy_since or now) if busy else None
    return schedule.model_copy(update={"busy_since": since})

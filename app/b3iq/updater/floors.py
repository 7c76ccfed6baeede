"""Rollback floors: what this machine has seen and will not go below.

python-tuf takes its memory from cached metadata that it never flushes; after a power cut
an older timestamp is accepted again. So memory is this one small file, written durably,
and no cached metadata is ever read back for trust. Floors never decrease, but for a role
whose keys were replaced by a newer delegator (TUF spec 5.3.11: fast-forward recovery).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, ValidationError

from b3iq.schemas import Closed, Sha256
from b3iq.updater import fsops
from b3iq.updater.manifest import ReleaseManifest
from b3iq.updater.refusals import (
    ClockBehind,
    FloorsUnreadable,
    ProvenanceLowered,
    Rollback,
    TrustedRootChanged,
)

FILE_NAME = "floors.json"
FLOORS_FORMAT: Literal["b3iq-updater-floors-v1"] = "b3iq-updater-floors-v1"


class RoleFloor(Closed):
    """Lowest acceptable version of a role, and the keys that it was signed with."""

    version: Annotated[int, Field(ge=1)]
    keyids: tuple[str, ...]


class Floors(Closed):
    """`floors.json`.

    Attributes:
        trusted_roots: digests of the pinned root and of every root in its chain so far.
        roles: by role name, delegated ones included.
        sequence: of the newest release installed here; 0 before the first.
        latest_time: clock at the last successful verification. It cannot run far ahead,
            because a clock that does finds the timestamp expired.
        provenance_required: this machine has verified a release whose policy asks for
            provenance, and takes none without it again. Files of before have no such field.
    """

    format: Literal["b3iq-updater-floors-v1"]
    trusted_roots: tuple[Sha256, ...]
    roles: dict[str, RoleFloor]
    sequence: Annotated[int, Field(ge=0)]
    latest_time: AwareDatetime | None
    provenance_required: bool = False


@dataclass(frozen=True)
class Seen:
    """What one verification saw: root digests in chain order, and each role."""

    roots: tuple[str, ...]
    roles: dict[str, RoleFloor]


def first(trusted_root_sha256: str) -> Floors:
    """Floors of a machine that has seen nothing yet but the pinned root."""
    return Floors(
        format=FLOORS_FORMAT,
        trusted_roots=(trusted_root_sha256,),
        roles={},
        sequence=0,
        latest_time=None,
    )


def read(path: Path, *, required: bool) -> Floors | None:
    """Read the floors; None where there are none and none are required.

    Raises:
        FloorsUnreadable: damaged, or missing although a release is installed.
    """
    remedy = (
        "The installed release keeps running. Restore the file from a backup, or, if you "
        f"know that the repository is fresh, accept it anew with --reset-floors: {path}"
    )
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        if required:
            raise FloorsUnreadable(
                "A release is installed but its rollback floors are gone.", remedy=remedy
            ) from None
        return None
    except OSError as error:
        raise FloorsUnreadable(
            f"The rollback floors cannot be read: {error.strerror}.", remedy=remedy
        ) from error
    try:
        return Floors.model_validate_json(raw)
    except ValidationError as error:
        raise FloorsUnreadable("The rollback floors are damaged.", remedy=remedy) from error


def write(path: Path, floors: Floors) -> None:
    """Write the floors durably.

    Raises:
        DiskFailed, NoSpace: they could not be made durable.
    """
    with fsops.named_failures():
        fsops.make_directory(path.parent, 0o700)
        fsops.write_file(path, floors.model_dump_json(indent=1).encode() + b"\n", 0o600)


def check_before(floors: Floors, trusted_root_sha256: str, now: datetime) -> None:
    """What must hold before a repository is even asked.

    Raises:
        TrustedRootChanged: the pinned root is none of the chain known here.
        ClockBehind: the clock went back.
    """
    if trusted_root_sha256 not in floors.trusted_roots:
        raise TrustedRootChanged(
            "The pinned root differs from the one that this machine trusts.",
            remedy="Use the former root file; if the publisher was replaced on purpose, "
            "accept the new one with --reset-floors.",
        )
    if floors.latest_time is not None and now < floors.latest_time:
        raise ClockBehind(
            f"The clock says {now:%Y-%m-%d %H:%M:%SZ}, but a verification succeeded at "
            f"{floors.latest_time:%Y-%m-%d %H:%M:%SZ}.",
            remedy="Set the clock; until then the installed release keeps running.",
        )


def check_after(floors: Floors, seen: Seen) -> None:
    """Compare what a verification saw with the floors.

    The newest known root must be in the chain: keys that it revoked could otherwise sign
    another root of its version, and another repository behind that.

    Raises:
        Rollback: a role is older than its floor, or has vanished.
        TrustedRootChanged: the chain forks off before the newest root known here.
    """
    for role, floor in floors.roles.items():
        now = seen.roles.get(role)
        if now is None:
            raise Rollback(f"Role {role} has vanished from the repository.", remedy=_ROLLBACK)
        if now.version < floor.version and not _recovered(role, floors, seen):
            raise Rollback(
                f"{role} has version {now.version}; this machine has seen {floor.version}.",
                remedy=_ROLLBACK,
            )
    if floors.trusted_roots[-1] not in seen.roots:
        raise TrustedRootChanged(
            "The root chain of the repository leaves out the newest root that this machine trusts.",
            remedy="Tell the publisher: someone who holds revoked root keys may have signed it.",
        )


_ROLLBACK = (
    "The installed release is untouched. Get a current copy of the repository; if it is "
    "current, someone is replaying an old one."
)


def _recovered(role: str, floors: Floors, seen: Seen) -> bool:
    """New keys for a role, from a newer version of who delegates to it."""
    delegator = "root" if role in {"timestamp", "snapshot", "targets"} else "targets"
    if role == "root" or delegator not in floors.roles:
        return False
    return (
        seen.roles[role].keyids != floors.roles[role].keyids
        and seen.roles[delegator].version > floors.roles[delegator].version
    )


def check_sequence(floors: Floors, manifest: ReleaseManifest) -> None:
    """A release must not be older than the one installed here.

    Raises:
        Rollback: its sequence is below the floor.
    """
    if manifest.sequence < floors.sequence:
        raise Rollback(
            f"Release {manifest.version} has sequence {manifest.sequence}; this machine has "
            f"run {floors.sequence}.",
            remedy=_ROLLBACK,
        )


def raised(floors: Floors, seen: Seen, now: datetime) -> Floors:
    """Floors after a successful verification."""
    roots = floors.trusted_roots + tuple(
        root for root in seen.roots if root not in floors.trusted_roots
    )
    latest = max(now, floors.latest_time or now).astimezone(UTC)
    return floors.model_copy(
        update={"trusted_roots": roots, "roles": dict(seen.roles), "latest_time": latest}
    )


def raised_sequence(floors: Floors, manifest: ReleaseManifest) -> Floors:
    """Floors after an installation."""
    return floors.model_copy(update={"sequence": max(floors.sequence, manifest.sequence)})


def check_provenance(floors: Floors, *, required: bool) -> None:
    """A policy that asked for provenance here must keep asking.

    Raises:
        ProvenanceLowered: it does not ask any more.
    """
    if floors.provenance_required and not required:
        raise ProvenanceLowered(
            "The provenance policy asks for none; this machine has seen it ask.",
            remedy="Nothing was installed. Ask the publisher: whoever signs the policy now may "
            "be someone else.",
        )


def raised_provenance(floors: Floors, *, required: bool) -> Floors:
    """Floors after a verification under a policy."""
    return floors.model_copy(update={"provenance_required": floors.provenance_required or required})

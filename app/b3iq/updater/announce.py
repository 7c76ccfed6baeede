"""Writes the status file that the node reads (`b3iq.updates.status`)."""

from __future__ import annotations

from datetime import UTC, datetime

from tuf.api.metadata import Metadata

from b3iq.paths import Paths
from b3iq.updater import decision, fsops
from b3iq.updater.gates import Gate
from b3iq.updater.settings import UpdateSettings
from b3iq.updater.trust import Verified
from b3iq.updates import status as status_
from b3iq.updates.status import STATUS_FORMAT, Chain, Release, UpdateStatus


def write(
    paths: Paths,
    settings: UpdateSettings,
    gates: tuple[Gate, ...],
    release: Verified | None,
    outcome: str | None = None,
    rollback_to: Release | None = None,
) -> UpdateStatus:
    """Tell the node what was found.

    Args:
        release: what was verified; None where it was refused, and the former one is kept.
        outcome: how a change of the node ended; None keeps what was said before.

    Raises:
        DiskFailed, NoSpace: the former status stays.
    """
    now = datetime.now(UTC)
    before = status_.read(paths.update_status)
    here = decision.installed_manifest(paths)
    installed = None if here is None else decision.told(here)
    offered = None if release is None else decision.told(release.manifest)
    if release is None and before is not None:
        offered = before.available
    is_newer = offered and (installed is None or offered.sequence > installed.sequence)
    written = UpdateStatus(
        format=STATUS_FORMAT,
        written_at=now,
        checked_at=now if release else (before.checked_at if before else None),
        installed=installed,
        available=offered if is_newer else None,
        rollback_to=rollback_to,
        outcome=(before.outcome if before else "") if outcome is None else outcome,
        automatic=settings.automatic,
        gates=gates,
        chain=_chain(release) if release else (before.chain if before else None),
    )
    with fsops.named_failures():
        fsops.write_file(paths.update_status, written.model_dump_json().encode() + b"\n", 0o644)
    return written


def _chain(release: Verified) -> Chain:
    roots = [name for name in release.metadata if name.endswith(".root.json")]
    newest = max(roots, key=lambda name: int(name.partition(".")[0]))
    return Chain(
        channel=release.channel.channel,
        root_version=Metadata.from_bytes(release.metadata[newest]).signed.version,
        manifest_sha256=release.manifest_sha256,
        source_commit=release.manifest.source_commit,
        archives=len(release.manifest.archives()),
        expires=release.expires,
    )

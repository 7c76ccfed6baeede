"""Writes the status file that the node reads (`b3iq.updates.status`)."""

from __future__ import annotations

from datetime import UTC, datetime

from tuf.api.metadata import Metadata

from b3iq.paths import Paths
from b3iq.updater import decision, fsops, journal
from b3iq.updater.gates import Gate
from b3iq.updater.phases import Outcome
from b3iq.updater.refusals import StateUnreadable
from b3iq.updater.settings import UpdateSettings
from b3iq.updater.trust import Verified
from b3iq.updates import status as status_
from b3iq.updates.status import STATUS_FORMAT, Chain, Release, UpdateStatus


def write(
    paths: Paths,
    settings: UpdateSettings,
    gates: tuple[Gate, ...],
    release: Verified | None,
    outcome: Outcome | None = None,
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
        rollback_to=_former(paths),
        outcome=(before.outcome if before else "") if outcome is None else told(outcome),
        automatic=settings.automatic,
        gates=gates,
        chain=_chain(release) if release else (before.chain if before else None),
    )
    _write(paths, written)
    return written


def changed(paths: Paths, outcome: Outcome) -> None:
    """Tell the node how a change ended that asked no repository; nothing where none was asked yet.

    Raises:
        DiskFailed, NoSpace: the former status stays.
    """
    before = status_.read(paths.update_status)
    here = decision.installed_manifest(paths)
    if before is not None:
        news = {
            "written_at": datetime.now(UTC),
            "installed": None if here is None else decision.told(here),
            "rollback_to": _former(paths),
            "outcome": told(outcome),
        }
        _write(paths, before.model_copy(update=news))


def told(outcome: Outcome) -> str:
    """How a trial ended, in words."""
    words = {
        "committed": "works and was kept.",
        "rolled_back": "did not work; the release before runs again.",
        "kept": "failed a check, and the data do not allow the release before.",
    }
    return f"Release {outcome.release.version} {words[outcome.result]} {outcome.reason}".rstrip()


def _former(paths: Paths) -> Release | None:
    try:
        former = journal.read(paths).former
    except StateUnreadable:
        return None
    return Release(version=former.version, sequence=former.sequence) if former else None


def _write(paths: Paths, status: UpdateStatus) -> None:
    with fsops.named_failures():
        fsops.write_file(paths.update_status, status.model_dump_json().encode() + b"\n", 0o644)


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

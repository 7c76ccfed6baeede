"""Carry out a plan: stage, unpack, move, switch; nothing is reachable before it is verified.

1. Stage: each missing archive is copied into a root-only directory, length and digest
   checked on the way.
2. Unpack: beside the final path, hashed again; a model is checked against its manifest.
3. Move: one rename per tree, after a flush of the file system.
4. Switch: `updater`, `runtime`, and last `current`, each one rename.
5. Raise the sequence floor.
"""

from __future__ import annotations

import grp
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from b3iq.errors import UsageError
from b3iq.models import integrity
from b3iq.models.errors import ModelRefused
from b3iq.paths import Paths
from b3iq.updater import download, fsops, kept, status, trust, unpack
from b3iq.updater.fetch import Repository
from b3iq.updater.manifest import Archive, Layer, Model
from b3iq.updater.plan import Place, Step, Switch
from b3iq.updater.progress import Progress
from b3iq.updater.refusals import ManifestMismatch, Refused, RepositoryUnreachable
from b3iq.updater.trust import Verified


@dataclass(frozen=True)
class Job:
    """One installation: from where, what, and to where.

    Attributes:
        model_group: group id that may read models; -1 leaves it to root's.
        park_models: place models beside those in use, for a trial.
    """

    repository: Repository
    release: Verified
    paths: Paths
    model_group: int
    progress: Progress
    park_models: bool = False


def apply(job: Job, steps: tuple[Step, ...]) -> None:
    """Run the steps of a plan in their order of safety.

    Raises:
        Refused: nothing was switched; the next run starts from what is complete.
    """
    places = [step for step in steps if isinstance(step, Place)]
    switches = [step for step in steps if isinstance(step, Switch)]
    with fsops.named_failures():
        _require_space(job, places)
        _sweep(job.paths)
        staging = job.paths.updater_state / "staging"
        fsops.make_directory(staging, 0o700)
        try:
            _place(job, places, staging)
        except RepositoryUnreachable:
            raise  # An interrupted run keeps what it fetched; a refused one keeps nothing.
        except Refused:
            fsops.remove(staging)
            raise
        for switch in switches:
            fsops.switch_link(job.paths.opt / switch.link, switch.target)
        fsops.remove(staging)


def _place(job: Job, places: list[Place], staging: Path) -> None:
    """Steps 1 to 3; every tree is complete before the first one is moved."""
    _forget_others(staging, {place.archive.sha256 for place in places})
    staged = [(_stage(job, place.archive, staging), place.archive) for place in places]
    try:
        for path, archive in staged:
            _unpack(job, path, archive)
        for place in places:
            fsops.publish(_incoming(job, place.archive), _final(job, place.archive))
    except BaseException:
        for place in places:
            fsops.remove(_incoming(job, place.archive))
        raise


def _final(job: Job, archive: Archive) -> Path:
    if isinstance(archive, Model):
        in_use = job.paths.models / archive.name
        return kept.parking_place(job.paths, archive) if job.park_models else in_use
    if isinstance(archive, Layer):
        return job.paths.opt / archive.install_path
    raise TypeError(archive)


def _incoming(job: Job, archive: Archive) -> Path:
    """Where a tree is made: beside its final path, so that one rename moves it there."""
    final = _final(job, archive)
    return final.with_name(f".incoming-{final.name}")


def _sweep(paths: Paths) -> None:
    """Remove half-made trees, and former ones whose removal was interrupted."""
    for parent in (paths.layers, paths.releases, paths.models):
        for path in parent.glob(".incoming-*"):
            fsops.remove(path)


def _require_space(job: Job, places: list[Place]) -> None:
    """Archives go to the state directory, trees to their places; count by file system."""
    needed: dict[int, tuple[Path, int]] = {}

    def count(path: Path, amount: int) -> None:
        device = _existing(path).stat().st_dev
        needed[device] = (path, needed.get(device, (path, 0))[1] + amount)

    for place in places:
        count(job.paths.updater_state, place.archive.length)
        # A file takes whole blocks; half a block a file is the usual waste.
        unpacked = place.archive.unpacked_bytes + place.archive.entries * 2048
        count(_final(job, place.archive), unpacked)
    for path, amount in needed.values():
        fsops.require_space(path, amount)


def _existing(path: Path) -> Path:
    return path if path.exists() else _existing(path.parent)


def _forget_others(staging: Path, wanted: set[str]) -> None:
    for path in staging.iterdir():
        if path.name not in wanted:
            fsops.remove(path)


def _stage(job: Job, archive: Archive, staging: Path) -> Path:
    """Bring an archive into the staging directory, from where an interrupted run stopped."""
    path = staging / archive.sha256
    url = job.repository.target_url(archive.target, archive.sha256)
    wanted = download.Wanted(archive.target, url, archive.sha256, archive.length)
    with job.progress.step(f"Fetching {archive.target}", archive.length) as advance:
        download.download(job.repository.fetcher, wanted, path, advance)
    return path


def stream(repository: Repository, archive: Archive) -> Iterator[bytes]:
    """An archive's bytes, checked as `trust.checked_stream` says."""
    return trust.checked_stream(repository, archive.target, archive.sha256, archive.length)


def _unpack(job: Job, staged: Path, archive: Archive) -> None:
    """Unpack beside the final path and check what came out."""
    incoming = _incoming(job, archive)
    fsops.make_directory(incoming.parent, 0o755)
    fsops.fresh_directory(incoming)
    model = isinstance(archive, Model)
    modes = unpack.Modes(0o750, 0o640, 0o640, job.model_group) if model else unpack.Modes()
    with job.progress.step(f"Unpacking {archive.target}", archive.length) as advance:
        unpack.unpack(staged, archive, incoming, modes, advance)
    _complete(job, incoming, archive)


def _complete(job: Job, tree: Path, archive: Archive) -> None:
    """Add what makes a tree complete: a mark, the manifest and runtime, or a check."""
    if isinstance(archive, Model):
        try:
            integrity.verify(tree, archive.manifest_sha256)
        except ModelRefused as error:
            raise ManifestMismatch(f"{archive.target}: {error.detail}") from error
    elif isinstance(archive, Layer) and archive.kind == "node":
        _own(tree / status.RELEASE_MANIFEST, job.release.manifest_raw)
    else:
        mark = {"format": "b3iq-installed-layer-v1", "sha256": archive.sha256}
        _own(tree / status.LAYER_MARK, json.dumps(mark).encode() + b"\n")


def _own(path: Path, data: bytes) -> None:
    """Write a file of ours into a tree; an archive that brought one of its own is refused."""
    if path.is_symlink() or path.exists():
        raise ManifestMismatch(f"An archive holds {path.name}, which only the updater writes.")
    fsops.write_file(path, data, 0o644)


def check_group(group: str | None) -> int:
    """Group id of the models' readers; -1 for none.

    Raises:
        UsageError: there is no such group.
    """
    if group is None:
        return -1
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError as error:
        raise UsageError(
            f"There is no group {group} on this machine.",
            remedy="Make it first; the base role does.",
        ) from error

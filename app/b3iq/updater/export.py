"""Write the smallest repository that one kind of host needs, from a verified one.

Metadata is copied as it was signed and every archive is hashed on its way, so the copy
verifies with the same pinned root and by the same code.
"""

from __future__ import annotations

import os
from pathlib import Path

from b3iq.updater import apply, fsops
from b3iq.updater.fetch import Repository, target_file
from b3iq.updater.manifest import Accelerator, Archive, channel_target, digest
from b3iq.updater.progress import Progress
from b3iq.updater.trust import Verified


def export(
    repository: Repository,
    release: Verified,
    accelerator: Accelerator,
    output: Path,
    progress: Progress,
) -> bool:
    """Bring `output` to exactly the release; returns whether anything changed.

    Raises:
        LayerUnknown, TargetTampered, TooLarge, RepositoryUnreachable, DiskFailed, NoSpace.
    """
    archives = release.manifest.needed(accelerator)
    small = {
        channel_target(release.channel.channel): release.channel_raw,
        release.channel.manifest_target: release.manifest_raw,
        **release.provenance.files,
    }
    files = {f"metadata/{name}": raw for name, raw in release.metadata.items()}
    files |= {f"targets/{target_file(target, digest(raw))}": raw for target, raw in small.items()}
    wanted = {archive_path(archive) for archive in archives} | set(files)
    with fsops.named_failures():
        changed = False
        for archive in archives:
            changed |= _copy(repository, archive, output, progress)
        # What points to the archives comes after them, the timestamp last.
        for name, raw in sorted(files.items(), key=lambda item: "timestamp" in item[0]):
            changed |= _write(output / name, raw)
        return _drop_others(output, wanted) or changed


def archive_path(archive: Archive) -> str:
    """Path of an archive below a repository."""
    return f"targets/{target_file(archive.target, archive.sha256)}"


def check_archives(
    repository: Repository, archives: tuple[Archive, ...], progress: Progress
) -> None:
    """Read every archive and compare it with its digest.

    Raises:
        TargetTampered, TooLarge, RepositoryUnreachable.
    """
    for archive in archives:
        with progress.step(f"Checking {archive.target}", archive.length) as advance:
            for chunk in apply.stream(repository, archive):
                advance(len(chunk))


def _copy(repository: Repository, archive: Archive, output: Path, progress: Progress) -> bool:
    path = output / archive_path(archive)
    if path.is_file() and fsops.hash_file(path) == (archive.sha256, archive.length):
        return False
    fsops.make_directory(path.parent, 0o755)
    partial = path.with_name(f".{path.name}.new")
    fsops.remove(partial)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    try:
        with (
            progress.step(f"Exporting {archive.target}", archive.length) as advance,
            os.fdopen(descriptor, "wb") as file,
        ):
            for chunk in apply.stream(repository, archive):
                file.write(chunk)
                advance(len(chunk))
        partial.replace(path)
    finally:
        fsops.remove(partial)
    return True


def _write(path: Path, raw: bytes) -> bool:
    if path.is_file() and path.read_bytes() == raw:
        return False
    fsops.make_directory(path.parent, 0o755)
    fsops.write_file(path, raw, 0o644)
    return True


def _drop_others(output: Path, wanted: set[str]) -> bool:
    """Remove what earlier exports left in the two directories of a repository."""
    dropped = False
    for part in ("metadata", "targets"):
        for path in sorted((output / part).rglob("*"), reverse=True):
            if path.is_dir() and not path.is_symlink():
                if not any(path.iterdir()):
                    path.rmdir()
            elif str(path.relative_to(output)) not in wanted:
                path.unlink()
                dropped = True
    return dropped

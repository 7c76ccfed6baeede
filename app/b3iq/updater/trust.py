"""Verify a repository, in numbered steps; the numbers are those of docs/release.md.

1. The pinned root is one that this machine knows, and the clock did not go back.
2. The TUF workflow holds: root chain, timestamp, snapshot, targets (TUF spec 5).
3. No role is below its floor.
4. The channel names a release, and that release's manifest fits its schema and the channel.
5. Each archive of the manifest is a signed target with the same digest and length.
6. The provenance policy of the targets role is met: a second signature, over how the release
   was built, agrees with the manifest.
7. The release is not older than the one that ran here.

Nothing is written to the machine but the floors, by the caller, after step 7.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from tuf.api import exceptions
from tuf.api.metadata import Metadata, Root, Snapshot, TargetFile, Targets, Timestamp
from tuf.ngclient import Updater

from b3iq.updater import floors as floors_
from b3iq.updater import manifest as manifest_
from b3iq.updater import provenance as provenance_
from b3iq.updater import refusals
from b3iq.updater.faults import named, unreachable
from b3iq.updater.fetch import Repository
from b3iq.updater.floors import Floors, RoleFloor, Seen
from b3iq.updater.manifest import Archive, Channel, ReleaseManifest
from b3iq.updater.provenance import Provenance


@dataclass(frozen=True)
class Verified:
    """A release that every check has passed, and what they saw.

    Attributes:
        manifest_raw: the exact signed bytes.
        metadata: verified metadata files by their name in a repository.
        expires: by role.
        provenance: what vouches for how it was built.
    """

    channel: Channel
    channel_raw: bytes
    manifest: ReleaseManifest
    manifest_raw: bytes
    metadata: dict[str, bytes]
    expires: dict[str, datetime]
    seen: Seen
    provenance: Provenance

    @property
    def manifest_sha256(self) -> str:
        """Digest of the exact signed bytes of the manifest."""
        return manifest_.digest(self.manifest_raw)


def verify(
    repository: Repository, trusted_root: bytes, floors: Floors, channel: str, now: datetime
) -> Verified:
    """Run steps 1 to 7.

    Args:
        trusted_root: bytes of the pinned root.
        floors: this machine's memory; `floors.first(...)` where it has none.
        now: aware time of this machine's clock.

    Raises:
        Refused: one of its subclasses, naming the reason.
    """
    _check_pinned(trusted_root)  # 1
    floors_.check_before(floors, manifest_.digest(trusted_root), now)
    with (
        tempfile.TemporaryDirectory(prefix="b3iq-metadata-") as directory,
        named(repository, trusted_root),
    ):
        updater = Updater(  # 2
            directory,
            repository.metadata_url,
            fetcher=repository.fetcher,
            bootstrap=trusted_root,
        )
        updater.refresh()
        floors_.check_after(floors, _seen(Path(directory)))  # 3
        pointer, pointer_raw = _channel(repository, updater, channel)  # 4
        manifest, manifest_raw = _manifest(repository, updater, pointer)
        for archive in manifest.archives():
            _agrees(archive, updater.get_targetinfo(archive.target))  # 5
        provenance = _provenance(repository, updater, Path(directory), floors, manifest_raw)  # 6
        seen = _seen(Path(directory))
        floors_.check_after(floors, seen)
        metadata, expires = _collect(Path(directory))
    floors_.check_sequence(floors, manifest)  # 7
    return Verified(
        pointer, pointer_raw, manifest, manifest_raw, metadata, expires, seen, provenance
    )


def _check_pinned(trusted_root: bytes) -> None:
    """The pinned file must be a root, and signed by itself."""
    try:
        metadata = Metadata[Any].from_bytes(trusted_root)
        root = metadata.signed
        signed = isinstance(root, Root) and root.get_root_verification_result(
            None, metadata.signed_bytes, metadata.signatures
        )
    except exceptions.RepositoryError:
        signed = False
    if not signed:
        raise refusals.WrongRoot(
            "The trusted root file is not a signed TUF root.",
            remedy="Use the root file that the publisher handed out.",
        )


def _channel(repository: Repository, updater: Updater, name: str) -> tuple[Channel, bytes]:
    target = manifest_.channel_target(name)
    raw = _small_target(repository, updater, target, manifest_.CHANNEL_LENGTH_LIMIT)
    pointer = manifest_.parse(Channel, raw, target)
    if pointer.channel != name:
        raise refusals.ManifestMismatch(f"{target} speaks for channel {pointer.channel}.")
    return pointer, raw


def _manifest(
    repository: Repository, updater: Updater, pointer: Channel
) -> tuple[ReleaseManifest, bytes]:
    target = pointer.manifest_target
    raw = _small_target(repository, updater, target, manifest_.MANIFEST_LENGTH_LIMIT)
    manifest = manifest_.parse(ReleaseManifest, raw, target)
    if (manifest.version, manifest.sequence) != (pointer.version, pointer.sequence):
        raise refusals.ManifestMismatch(
            f"The channel stands at {pointer.version} (sequence {pointer.sequence}), the manifest "
            f"says {manifest.version} (sequence {manifest.sequence}).",
            remedy="Ask who published it; nothing was installed.",
        )
    return manifest, raw


def _provenance(
    repository: Repository, updater: Updater, directory: Path, floors: Floors, manifest_raw: bytes
) -> Provenance:
    """Step 6; what is trusted beside TUF is signed by the top-level targets role itself."""
    own = Metadata[Targets].from_file(str(directory / "targets.json")).signed.targets

    def small(target: str, info: TargetFile | None, limit: int) -> bytes:
        return _small(repository, target, _signed(target, info), limit)

    policy_raw = small(
        provenance_.POLICY_TARGET,
        own.get(provenance_.POLICY_TARGET),
        provenance_.POLICY_LENGTH_LIMIT,
    )
    policy = provenance_.read_policy(policy_raw)
    floors_.check_provenance(floors, required=policy.required)
    files = {provenance_.POLICY_TARGET: policy_raw}
    if not policy.required:
        return Provenance(required=False, signer=None, files=files)
    manifest = ReleaseManifest.model_validate_json(manifest_raw)
    root_raw = small(
        provenance_.ROOT_TARGET, own.get(provenance_.ROOT_TARGET), provenance_.ROOT_LENGTH_LIMIT
    )
    target = provenance_.bundle_target(manifest.version)
    info = updater.get_targetinfo(target)
    if info is None:
        raise provenance_.missing(target)
    bundle_raw = small(target, info, provenance_.BUNDLE_LENGTH_LIMIT)
    signer = provenance_.check(policy, root_raw, bundle_raw, manifest, manifest_raw)
    files |= {provenance_.ROOT_TARGET: root_raw, target: bundle_raw}
    return Provenance(required=True, signer=signer, files=files)


def _small_target(repository: Repository, updater: Updater, target: str, limit: int) -> bytes:
    return _small(repository, target, _signed(target, updater.get_targetinfo(target)), limit)


def _small(repository: Repository, target: str, info: TargetFile, limit: int) -> bytes:
    if info.length > limit:
        raise refusals.TooLarge(f"{target} has {info.length} bytes; {limit} are allowed.")
    return b"".join(checked_stream(repository, target, _sha256(info), info.length))


def _signed(target: str, info: TargetFile | None) -> TargetFile:
    if info is None:
        raise refusals.TargetNotSigned(
            f"No trusted role signs {target}.",
            remedy="The channel or the release is not in this repository, or its delegation "
            "is missing.",
        )
    return info


def _sha256(info: TargetFile) -> str:
    if "sha256" not in info.hashes:
        raise refusals.MetadataMalformed(f"{info.path} is signed without a SHA-256.")
    return info.hashes["sha256"]


def _agrees(archive: Archive, info: TargetFile | None) -> None:
    signed = _signed(archive.target, info)
    if (signed.length, _sha256(signed)) != (archive.length, archive.sha256):
        raise refusals.ManifestMismatch(
            f"The manifest and the signed target {archive.target} have different digests.",
            remedy="Ask who published it; nothing was installed.",
        )


def checked_stream(
    repository: Repository, target: str, sha256: str, length: int
) -> Iterator[bytes]:
    """A target's bytes; the last chunk comes only after length and digest were right.

    Raises:
        TooLarge, TargetTampered, RepositoryUnreachable.
    """
    digest = hashlib.sha256()
    received = 0
    held = b""
    try:
        for chunk in repository.fetcher.fetch(repository.target_url(target, sha256)):
            received += len(chunk)
            if received > length:
                raise refusals.TooLarge(f"{target} goes on past its {length} signed bytes.")
            digest.update(chunk)
            if held:
                yield held
            held = chunk
    except exceptions.DownloadError as error:
        raise unreachable(repository, error) from error
    if received != length or digest.hexdigest() != sha256:
        raise refusals.TargetTampered(
            f"{target} is not the file that was signed.",
            remedy="Nothing was installed. Get the repository again from its publisher.",
        )
    yield held


def _seen(directory: Path) -> Seen:
    """Versions and keys out of what the TUF client has just verified and written."""
    history = sorted(
        (directory / "root_history").iterdir(), key=lambda path: int(path.name.split(".")[0])
    )
    root = Metadata[Root].from_file(str(history[-1])).signed
    timestamp = Metadata[Timestamp].from_file(str(directory / "timestamp.json")).signed
    snapshot = Metadata[Snapshot].from_file(str(directory / "snapshot.json")).signed
    targets = Metadata[Targets].from_file(str(directory / "targets.json")).signed
    delegated = (targets.delegations and targets.delegations.roles) or {}
    keys = {
        role: tuple(sorted(entry.keyids)) for role, entry in {**root.roles, **delegated}.items()
    }
    versions = {"root": root.version, "timestamp": timestamp.version, "snapshot": snapshot.version}
    # A snapshot may name anything; only for targets roles it is the one to ask.
    versions |= {
        role: meta.version
        for role in keys.keys() - versions.keys()
        if (meta := snapshot.meta.get(f"{role}.json"))
    }
    return Seen(
        roots=tuple(manifest_.digest(path.read_bytes()) for path in history),
        roles={
            role: RoleFloor(version=version, keyids=keys.get(role, ()))
            for role, version in sorted(versions.items())
        },
    )


def _collect(directory: Path) -> tuple[dict[str, bytes], dict[str, datetime]]:
    """Metadata under the names of a consistent-snapshot repository, and expiries."""
    files: dict[str, bytes] = {}
    expires: dict[str, datetime] = {}
    for path in sorted((directory / "root_history").iterdir()):
        files[path.name] = path.read_bytes()
    for path in sorted(directory.glob("*.json")):
        raw = path.read_bytes()
        signed = Metadata[Any].from_bytes(raw).signed
        expires[path.stem] = signed.expires
        if path.name == "timestamp.json":
            files[path.name] = raw
        elif path.name != "root.json":
            files[f"{signed.version}.{path.name}"] = raw
    return files, expires

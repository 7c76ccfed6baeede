"""Write a TUF repository: thresholds, terminating delegations, consistent snapshots.

Files appear before what points to them, and `timestamp.json` is replaced last and by a
rename, so that a reader finds the former repository or the new one and nothing between.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)

from b3iq.updater import fsops
from b3iq.updater.fetch import target_file
from b3iq.updater.fsops import hash_file
from release import keys
from release.archive import BuildFailed

Signed = TypeVar("Signed", Root, Snapshot, Targets, Timestamp)


class Publisher:
    """One repository directory and the keys that sign it."""

    def __init__(
        self, directory: Path, signers: Mapping[str, tuple[CryptoSigner, ...]], now: datetime
    ) -> None:
        self._metadata = directory / "metadata"
        self._targets = directory / "targets"
        self._signers = signers
        self._now = now
        fsops.make_directory(self._metadata, 0o755)
        fsops.make_directory(self._targets, 0o755)

    @property
    def exists(self) -> bool:
        """Whether something was published here."""
        return (self._metadata / "timestamp.json").exists()

    def create_root(self) -> bytes:
        """Write and return the first root; the bytes are what operators pin.

        Raises:
            KeysUnusable: another root stands here, made with other keys.
        """
        path = self._metadata / "1.root.json"
        if path.exists():
            return self._known_root(path)
        root = Root(expires=self._expiry("root"), consistent_snapshot=True)
        for role in ("root", "targets", "snapshot", "timestamp"):
            for signer in self._signers[role]:
                root.add_key(signer.public_key, role)
            root.roles[role].threshold = keys.ROLES[role].threshold
        raw = self._sign("root", root)
        fsops.write_file(path, raw, 0o644)
        return raw

    def target(self, path: str) -> bytes | None:
        """Bytes of a published target, None where there is none."""
        for role in ("targets", *(role.name for role in keys.DELEGATED)):
            info = self._latest_targets(role).targets.get(path) if self.exists else None
            if info is not None:
                return (self._targets / target_file(path, info.hashes["sha256"])).read_bytes()
        return None

    def publish(self, targets: Mapping[str, Path]) -> None:
        """Make these the targets of the repository; what it held before goes.

        Args:
            targets: local file by TUF target path.
        """
        kept = {path: self._add(path, file) for path, file in targets.items()}
        versions = {"targets": self._publish_trust(kept)}
        for role in keys.DELEGATED:
            own = {path: info for path, info in kept.items() if _may_sign(role, path)}
            before = self._latest_targets(role.name) if self.exists else None
            if before is None or before.targets != own:
                before = self._write(
                    role.name,
                    Targets(
                        version=before.version + 1 if before else 1,
                        expires=self._expiry(role.name),
                        targets=own,
                    ),
                )
            versions[role.name] = before.version
        self._write_snapshot(versions)
        self._drop_unlisted(kept)

    def _publish_trust(self, kept: Mapping[str, TargetFile]) -> int:
        """What is trusted beside TUF is signed by the targets role itself; its version."""
        own = {path: info for path, info in kept.items() if path.startswith("trust/")}
        before = self._latest_targets("targets") if self.exists else None
        if before is not None and before.targets == own:
            return before.version
        signed = Targets(
            version=before.version + 1 if before else 1,
            expires=self._expiry("targets"),
            targets=own,
            delegations=delegations(self._signers),
        )
        return self._write("targets", signed).version

    def refresh(self) -> bool:
        """Sign anew what has less than half of its life left, the root excepted."""
        stale = []
        for role in ("targets", *(role.name for role in keys.DELEGATED)):
            signed = self._latest_targets(role)
            if self._is_stale(role, signed.expires):
                signed.version += 1
                signed.expires = self._expiry(role)
                self._write(role, signed)
                stale.append((role, signed.version))
        timestamp = self._read(Timestamp, "timestamp.json")
        snapshot = self._snapshot()
        if not (
            stale
            or self._is_stale("timestamp", timestamp.expires)
            or self._is_stale("snapshot", snapshot.expires)
        ):
            return False
        versions = {n.removesuffix(".json"): meta.version for n, meta in snapshot.meta.items()}
        self._write_snapshot(versions | dict(stale))
        return True

    def _add(self, path: str, file: Path) -> TargetFile:
        sha256, length = hash_file(file)
        place = self._targets / target_file(path, sha256)
        fsops.make_directory(place.parent, 0o755)
        if not place.exists() or hash_file(place) != (sha256, length):
            partial = place.with_name(f".{place.name}.new")
            shutil.copyfile(file, partial)
            partial.chmod(0o644)
            partial.rename(place)
        return TargetFile(length=length, hashes={"sha256": sha256}, path=path)

    def _write_snapshot(self, versions: Mapping[str, int]) -> None:
        number = self._snapshot().version + 1 if self.exists else 1
        stamp = self._read(Timestamp, "timestamp.json").version + 1 if self.exists else 1
        meta = {f"{role}.json": self._describe(role, v) for role, v in sorted(versions.items())}
        self._write(
            "snapshot", Snapshot(version=number, expires=self._expiry("snapshot"), meta=meta)
        )
        timestamp = Timestamp(
            version=stamp,
            expires=self._expiry("timestamp"),
            snapshot_meta=self._describe("snapshot", number),
        )
        fsops.flush_file_system(self._metadata)
        fsops.write_file(
            self._metadata / "timestamp.json", self._sign("timestamp", timestamp), 0o644
        )

    def _describe(self, role: str, version: int) -> MetaFile:
        """Length and digest too, so that a mixed set of files is found at once."""
        sha256, length = hash_file(self._metadata / f"{version}.{role}.json")
        return MetaFile(version=version, length=length, hashes={"sha256": sha256})

    def _drop_unlisted(self, kept: Mapping[str, TargetFile]) -> None:
        listed = {target_file(path, info.hashes["sha256"]) for path, info in kept.items()}
        for path in sorted(self._targets.rglob("*"), reverse=True):
            if path.is_file() and str(path.relative_to(self._targets)) not in listed:
                path.unlink()
            elif path.is_dir() and not any(path.iterdir()):
                path.rmdir()

    def _known_root(self, path: Path) -> bytes:
        root = Metadata[Root].from_file(str(path)).signed
        own = {signer.public_key.keyid for signer in self._signers["root"]}
        if set(root.roles["root"].keyids) != own:
            raise keys.KeysUnusable(
                "The repository was signed with other keys.",
                remedy="Bring those keys back, or start over in another directory.",
            )
        return path.read_bytes()

    def _snapshot(self) -> Snapshot:
        number = self._read(Timestamp, "timestamp.json").snapshot_meta.version
        return self._read(Snapshot, f"{number}.snapshot.json")

    def _latest_targets(self, role: str) -> Targets:
        number = self._snapshot().meta[f"{role}.json"].version if self.exists else 1
        return self._read(Targets, f"{number}.{role}.json")

    def _read(self, kind: type[Signed], name: str) -> Signed:
        signed = Metadata[Any].from_file(str(self._metadata / name)).signed
        if not isinstance(signed, kind):
            raise BuildFailed(
                f"{name} of the repository is not what its name says.",
                remedy="Build into another directory.",
            )
        return signed

    def _write(self, role: str, signed: Signed) -> Signed:
        path = self._metadata / f"{signed.version}.{role}.json"
        fsops.write_file(path, self._sign(role, signed), 0o644)
        return signed

    def _sign(self, role: str, signed: Root | Snapshot | Targets | Timestamp) -> bytes:
        metadata = Metadata[Any](signed)
        for signer in self._signers[role][: keys.ROLES[role].threshold]:
            metadata.sign(signer, append=True)
        return metadata.to_bytes()

    def _expiry(self, role: str) -> datetime:
        return self._now.replace(microsecond=0) + timedelta(days=keys.ROLES[role].days)

    def _is_stale(self, role: str, expires: datetime) -> bool:
        return expires - self._now < timedelta(days=keys.ROLES[role].days) / 2


def delegations(signers: Mapping[str, tuple[CryptoSigner, ...]]) -> Delegations:
    """`releases`, `models` and `channels`, each with its own keys, none backtracking."""
    return Delegations(
        keys={
            signer.public_key.keyid: signer.public_key
            for role in keys.DELEGATED
            for signer in signers[role.name]
        },
        roles={
            role.name: DelegatedRole(
                name=role.name,
                keyids=[signer.public_key.keyid for signer in signers[role.name]],
                threshold=role.threshold,
                terminating=True,
                paths=list(role.paths),
            )
            for role in keys.DELEGATED
        },
    )


def _may_sign(role: keys.RoleKeys, path: str) -> bool:
    return path.partition("/")[0] == role.name

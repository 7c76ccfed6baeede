"""An adversary's TUF repository: real metadata and real signatures, kept in memory.

It signs what it is told, right or wrong, and serves whatever bytes it is told; it shares no
code with `release/`, so that a fault there is not a fault here too.
"""

from __future__ import annotations

import copy
import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

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

from tests.attacks.parts import Release

TOP = ("root", "targets", "snapshot", "timestamp")
DELEGATED = {"releases": "releases/*/*", "models": "models/*/*", "channels": "channels/*"}
THRESHOLD = {"root": 2, "targets": 2}
NO_PROVENANCE = {"format": "b3iq-provenance-policy-v1", "required": False, "identities": []}


class Simulator:
    """A publisher gone bad, or someone between it and the node.

    Attributes:
        files: what a client would get, by path below the repository.
        history: what `files` was after each publication.
        omit_signatures: how many signatures to leave out, by role.
    """

    def __init__(self) -> None:
        self.now = datetime.now(UTC).replace(microsecond=0)
        self.signers = {
            role: [CryptoSigner.generate_ed25519() for _ in range(3 if role in THRESHOLD else 1)]
            for role in (*TOP, *DELEGATED)
        }
        self.files: dict[str, bytes] = {}
        self.history: list[dict[str, bytes]] = []
        self.omit_signatures: dict[str, int] = {}
        self.root = Root(expires=self.in_days(365), consistent_snapshot=True)
        for role in TOP:
            for signer in self.signers[role]:
                self.root.add_key(signer.public_key, role)
            self.root.roles[role].threshold = THRESHOLD.get(role, 1)
        self.roles: dict[str, Targets] = {
            role: Targets(expires=self.in_days(30)) for role in ("targets", *DELEGATED)
        }
        self.roles["targets"].delegations = self.delegations()
        self.add("targets", "trust/provenance-policy.json", json.dumps(NO_PROVENANCE).encode())
        self.snapshot = Snapshot(expires=self.in_days(7), meta={})
        self.timestamp = Timestamp(expires=self.in_days(1))
        self._signed_before: dict[str, bytes] = {}
        self.publish_root()
        self.trusted_root = self.files["metadata/1.root.json"]

    def in_days(self, days: float) -> datetime:
        """A whole-second time from now."""
        return (self.now + timedelta(days=days)).replace(microsecond=0)

    def delegations(self) -> Delegations:
        """The three terminating delegations."""
        return Delegations(
            keys={s.public_key.keyid: s.public_key for r in DELEGATED for s in self.signers[r]},
            roles={
                role: DelegatedRole(
                    role, [s.public_key.keyid for s in self.signers[role]], 1, True, [pattern]
                )
                for role, pattern in DELEGATED.items()
            },
        )

    def delegate(self, role: str, pattern: str) -> None:
        """One more delegation, after the others, with a key of its own."""
        [signer] = self.signers[role] = [CryptoSigner.generate_ed25519()]
        self.roles[role] = Targets(expires=self.in_days(30))
        delegations = self.roles["targets"].delegations
        assert delegations is not None
        assert delegations.roles is not None
        delegations.keys[signer.public_key.keyid] = signer.public_key
        delegations.roles[role] = DelegatedRole(
            role, [signer.public_key.keyid], 1, terminating=False, paths=[pattern]
        )

    def add(self, role: str, path: str, content: bytes, *, serve: bytes | None = None) -> None:
        """Let a role sign a target; `serve` other bytes than the signed ones if given."""
        sha256 = hashlib.sha256(content).hexdigest()
        self.roles[role].targets[path] = TargetFile(len(content), {"sha256": sha256}, path)
        self.files[target_path(path, sha256)] = content if serve is None else serve

    def offer(self, release: Release) -> None:
        """Sign everything of a release and point the channel at it."""
        for path, content in release.targets.items():
            self.add(path.partition("/")[0], path, content)

    def publish_root(self, *old_signers: CryptoSigner) -> None:
        """Sign the root (by its own keys and by older ones) and serve it."""
        metadata = Metadata[Any](self.root)
        for signer in (*self._signers("root"), *old_signers):
            metadata.sign(signer, append=True)
        self.files[f"metadata/{self.root.version}.root.json"] = metadata.to_bytes()

    def publish(self) -> None:
        """Raise what changed, sign it, and serve it."""
        for role, signed in self.roles.items():
            unsigned = signed.to_dict() | {"version": 0}
            state = json.dumps(unsigned, sort_keys=True).encode()
            if self._signed_before.get(role) != state:
                if role in self._signed_before:
                    signed.version += 1
                self._signed_before[role] = state
                self.serve(role, signed)
            self.snapshot.meta[f"{role}.json"] = self.describe(role, signed.version)
        self.publish_snapshot()

    def publish_snapshot(self) -> None:
        """A new snapshot of what `snapshot.meta` says, and a new timestamp."""
        self.snapshot.version += bool(self.history)
        self.serve("snapshot", self.snapshot)
        self.timestamp.snapshot_meta = self.describe("snapshot", self.snapshot.version)
        self.publish_timestamp()

    def publish_timestamp(self) -> None:
        """A new timestamp, and a page of history."""
        self.timestamp.version += bool(self.history)
        self.files["metadata/timestamp.json"] = self.signed("timestamp", self.timestamp)
        self.history.append(dict(self.files))

    def serve(self, role: str, signed: Snapshot | Targets) -> None:
        """Sign metadata and serve it under its version."""
        self.files[f"metadata/{signed.version}.{role}.json"] = self.signed(role, signed)

    def signed(self, role: str, signed: Root | Snapshot | Targets | Timestamp) -> bytes:
        """Metadata with a threshold of signatures, or fewer if told so."""
        metadata = Metadata[Any](copy.deepcopy(signed))
        for signer in self._signers(role):
            metadata.sign(signer, append=True)
        return metadata.to_bytes()

    def describe(self, role: str, version: int) -> MetaFile:
        """Version, length and digest of served metadata."""
        raw = self.files[f"metadata/{version}.{role}.json"]
        return MetaFile(version, len(raw), {"sha256": hashlib.sha256(raw).hexdigest()})

    def rotate(self, role: str) -> None:
        """Replace a top-level role's keys by a new root, signed by old and new root keys."""
        old_root = self._signers("root")
        for signer in self.signers[role]:
            self.root.revoke_key(signer.public_key.keyid, role)
        self.signers[role] = [CryptoSigner.generate_ed25519() for _ in self.signers[role]]
        for signer in self.signers[role]:
            self.root.add_key(signer.public_key, role)
        self.root.version += 1
        self.publish_root(*(old_root if role == "root" else ()))

    def write(self, directory: Path) -> Path:
        """The repository as it is served now, in a directory."""
        for path, content in self.files.items():
            file = directory / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        (directory / "targets").mkdir(parents=True, exist_ok=True)
        return directory

    def _signers(self, role: str) -> list[CryptoSigner]:
        count = THRESHOLD.get(role, 1) - self.omit_signatures.get(role, 0)
        return self.signers[role][:count]


def target_path(path: str, sha256: str) -> str:
    """Where a consistent-snapshot repository serves a target."""
    directory, _, name = path.rpartition("/")
    return f"targets/{directory}/{sha256}.{name}"

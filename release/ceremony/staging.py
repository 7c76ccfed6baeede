"""The staging directory: a TUF repository that waits for its signatures.

It holds no key and needs no trust: whoever signs looks at what is signed, and what is
published is verified again. Metadata lies here as `<version>.<role>.json`, with as many
signatures as it has got so far.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import load_pem_public_key
from securesystemslib.signer import Key, SSlibKey
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, Root, Targets

from b3iq.errors import B3iqError
from b3iq.updater import fsops

TOP = ("root", "targets", "snapshot", "timestamp")
# Who holds a key, beside the key itself, so that `status` names people.
OWNER = "x-b3iq-owner"


class CeremonyRefused(B3iqError):
    """A step would make, sign or publish something that it must not."""

    code = "ceremony_refused"
    title = "The ceremony stops here"


@dataclass(frozen=True)
class Lacking:
    """How many signatures a role lacks, and the owners of the keys that may give one."""

    count: int
    owners: tuple[str, ...]


class Staging:
    """One staging directory, with `metadata/` and `targets/`."""

    def __init__(self, directory: Path) -> None:
        self.metadata = directory / "metadata"
        self.targets = directory / "targets"
        fsops.make_directory(self.metadata, 0o755)
        fsops.make_directory(self.targets, 0o755)

    def version(self, role: str) -> int:
        """Newest version of a role here; 0 where it has none."""
        if role == "timestamp":
            return self.read(role).signed.version if self.path(role, 0).exists() else 0
        names = [path.name.split(".") for path in self.metadata.glob(f"*.{role}.json")]
        return max((int(name[0]) for name in names if name[0].isdigit()), default=0)

    def path(self, role: str, version: int) -> Path:
        """Where a version of a role lies."""
        return self.metadata / (
            "timestamp.json" if role == "timestamp" else f"{version}.{role}.json"
        )

    def read(self, role: str, version: int | None = None) -> Metadata[Any]:
        """A role's metadata; the newest if no version is given.

        Raises:
            CeremonyRefused: missing, or malformed; one key's signature given twice counts
                here (CVE-2020-15093).
        """
        number = version or (0 if role == "timestamp" else self.version(role))
        path = self.path(role, number)
        try:
            metadata = Metadata[Any].from_bytes(path.read_bytes())
        except (OSError, RepositoryError) as error:
            raise CeremonyRefused(
                f"{path.name} is missing or no TUF metadata.", remedy="Restore it, or stage anew."
            ) from error
        expected = role if role in TOP else "targets"
        if metadata.signed.type != expected or version not in (None, metadata.signed.version):
            raise CeremonyRefused(f"{path.name} is not what its name says.")
        return metadata

    def write(self, role: str, metadata: Metadata[Any]) -> None:
        """Replace a role's file atomically."""
        path = self.path(role, metadata.signed.version)
        fsops.write_file(path, metadata.to_bytes(), 0o644)

    def delegated(self) -> tuple[str, ...]:
        """Names of the delegated roles, in the order of their search."""
        if not self.version("targets"):
            return ()
        delegations = self.read("targets").signed.delegations
        return tuple(delegations.roles or ()) if delegations else ()

    def roles(self) -> tuple[str, ...]:
        """Every role that has metadata here."""
        return tuple(role for role in (*TOP, *self.delegated()) if self.version(role))

    def delegator(self, role: str) -> Root | Targets:
        """Who says which keys sign a role."""
        signed: Root | Targets = self.read("root" if role in TOP else "targets").signed
        return signed

    def keys(self, role: str) -> dict[str, Key]:
        """Keys that may sign a role by key id; for a root, those of the former one too."""
        found = _keys(self.delegator(role), role)
        if role == "root" and self.version("root") > 1:
            found |= _keys(self.read("root", self.version("root") - 1).signed, "root")
        return found

    def lacking(self, role: str) -> Lacking:
        """What a role still lacks; a new root needs the old threshold and its own."""
        metadata = self.read(role)
        delegator = self.delegator(role)
        if role != "root":
            results = [
                delegator.get_verification_result(role, metadata.signed_bytes, metadata.signatures)
            ]
        else:
            version = metadata.signed.version
            former = self.read("root", version - 1).signed if version > 1 else None
            both = metadata.signed.get_root_verification_result(
                former, metadata.signed_bytes, metadata.signatures
            )
            results = [both.first, both.second]
        count = max(max(result.threshold - len(result.signed), 0) for result in results)
        waiting = {
            owner(key)
            for result in results
            if len(result.signed) < result.threshold
            for key in result.unsigned.values()
        }
        return Lacking(count, tuple(sorted(waiting)))


def _keys(delegator: Root | Targets, role: str) -> dict[str, Key]:
    keyids = delegator.get_delegated_role(role).keyids
    table = delegator.keys if isinstance(delegator, Root) else _delegated_keys(delegator)
    return {keyid: table[keyid] for keyid in keyids}


def _delegated_keys(targets: Targets) -> dict[str, Key]:
    return targets.delegations.keys if targets.delegations else {}


def owner(key: Key) -> str:
    """Who holds a key, as `init`, `delegate` or `rotate-key` was told; else its key id."""
    return str(key.unrecognized_fields.get(OWNER, key.keyid[:12]))


def public_key(holder: str, path: Path) -> SSlibKey:
    """A public key in PEM, with its holder.

    Raises:
        CeremonyRefused: the file is no public key.
    """
    try:
        key = SSlibKey.from_crypto(load_pem_public_key(path.read_bytes()))
    except (OSError, ValueError) as error:
        raise CeremonyRefused(
            f"{path} is no public key in PEM.", remedy="openssl pkey -in KEY -pubout makes one."
        ) from error
    key.unrecognized_fields[OWNER] = holder
    return key

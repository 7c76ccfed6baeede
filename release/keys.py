"""Throwaway signing keys in files: enough for a demo and for tests, not for production.

In production the root and targets keys live offline or in hardware and sign by
securesystemslib's `hsm:` and cloud signers; this module is then not used. Every key of a
demo lies in one directory, so its thresholds show the mechanism and protect nobody from
someone who reads that directory.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import cast

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from securesystemslib.signer import CryptoSigner

from b3iq.errors import B3iqError
from b3iq.updater import fsops


class KeysUnusable(B3iqError):
    """The key directory is not what signing needs."""

    code = "keys_unusable"
    title = "The signing keys cannot be used"


@dataclass(frozen=True)
class RoleKeys:
    """How a role is signed: `threshold` of `count` keys; `days` until it expires.

    `paths` are the target paths that a delegated role may sign (TUF: `*` does not cross `/`).
    """

    name: str
    count: int
    threshold: int
    days: int
    paths: tuple[str, ...] = ()


ROLES = {
    role.name: role
    for role in (
        RoleKeys("root", 3, 2, 365),
        RoleKeys("targets", 3, 2, 365),
        RoleKeys("releases", 1, 1, 90, ("releases/*/*",)),
        RoleKeys("models", 1, 1, 90, ("models/*/*",)),
        RoleKeys("channels", 1, 1, 90, ("channels/*",)),
        RoleKeys("snapshot", 1, 1, 14),
        RoleKeys("timestamp", 1, 1, 7),
    )
}
DELEGATED = tuple(role for role in ROLES.values() if role.paths)


def create(directory: Path) -> None:
    """Make every missing key as a 0600 PEM file below a 0700 directory."""
    directory.mkdir(parents=True, mode=0o700, exist_ok=True)
    directory.chmod(0o700)
    for role in ROLES.values():
        for path in _files(directory, role):
            if not path.exists():
                # By a rename: a run that is killed leaves no key that is half one.
                fsops.write_file(path, CryptoSigner.generate_ed25519().private_bytes, 0o600)


def load(directory: Path) -> dict[str, tuple[CryptoSigner, ...]]:
    """Signers by role name.

    Raises:
        KeysUnusable: a key is missing, is no Ed25519 key, or others may read it.
    """
    return {
        role.name: tuple(_signer(path) for path in _files(directory, role))
        for role in ROLES.values()
    }


def _files(directory: Path, role: RoleKeys) -> list[Path]:
    return [directory / f"{role.name}-{number}.pem" for number in range(1, role.count + 1)]


def _signer(path: Path) -> CryptoSigner:
    try:
        if path.stat().st_mode & 0o077:
            raise KeysUnusable(f"{path.name} may be read by others.", remedy=f"chmod 600 {path}")
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError) as error:
        raise KeysUnusable(
            f"{path.name} is missing or not a private key.",
            remedy="Bring the key back from a copy, or start over in another directory.",
        ) from error
    return CryptoSigner(cast("Ed25519PrivateKey", key))

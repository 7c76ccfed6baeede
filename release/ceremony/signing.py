"""Step 4 of the ceremony: look at what is signed, then sign it; or take a signature back in."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.serialization import load_pem_private_key
from securesystemslib.exceptions import UnsupportedLibraryError
from securesystemslib.signer import CryptoSigner, HSMSigner, Signer, SSlibKey
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata

from b3iq.updater.manifest import digest
from release.ceremony.staging import CeremonyRefused, Staging, owner
from release.keys import KeysUnusable


def open_key(uri: str, secret: str | None) -> Signer:
    """A signer by `file2:PATH` or `hsm:ID?label=TOKEN`.

    Args:
        secret: passphrase of the file, or PIN of the token. It comes from a file or from
            standard input, never from the command line or the environment.

    Raises:
        KeysUnusable: wrong passphrase, a file that others may read, or no such key.
    """
    scheme = urlsplit(uri).scheme
    if scheme == "file2":
        return _file(Path(urlsplit(uri).path), secret)
    if scheme == "hsm":
        return _token(uri, secret)
    raise KeysUnusable(f"{scheme or uri}: no such kind of key.", remedy="Use file2: or hsm:.")


def _file(path: Path, secret: str | None) -> Signer:
    try:
        if path.stat().st_mode & 0o077:
            raise KeysUnusable(f"{path.name} may be read by others.", remedy=f"chmod 600 {path}")
        key = load_pem_private_key(path.read_bytes(), secret.encode() if secret else None)
        return CryptoSigner(key)
    except (OSError, ValueError, TypeError) as error:
        raise KeysUnusable(
            f"{path.name} cannot be opened: no private key, or another passphrase.",
            remedy="Give the passphrase with --secret-file.",
        ) from error


def _token(uri: str, secret: str | None) -> Signer:
    parts = urlsplit(uri)
    label = parts.query.removeprefix("label=") or None
    try:
        _, public = HSMSigner.import_(int(parts.path or "2"), label, lambda _: secret or "")
        return HSMSigner.from_priv_key_uri(uri, public, lambda _: secret or "")
    except (ValueError, UnsupportedLibraryError) as error:
        raise KeysUnusable(
            f"The token has no usable key: {error}.",
            remedy="Set PYKCS11LIB to the token's library; the URI is hsm:ID?label=TOKEN.",
        ) from error


def summary(staging: Staging, role: str) -> dict[str, Any]:
    """What a signer must see first: role, version, expiry, digest, and what changed."""
    metadata = staging.read(role)
    signed = metadata.signed
    targets = getattr(signed, "targets", {})
    former = {}
    if signed.version > 1 and role not in {"timestamp", "snapshot", "root"}:
        former = staging.read(role, signed.version - 1).signed.targets
    return {
        "role": role,
        "version": signed.version,
        "expires": f"{signed.expires:%Y-%m-%dT%H:%M:%SZ}",
        "sha256": digest(metadata.signed_bytes),
        "targets_new": sorted(path for path in targets if targets[path] != former.get(path)),
        "targets_gone": sorted(former.keys() - targets.keys()),
        "keys": sorted(owner(key) for key in staging.keys(role).values()),
        "signed_by": sorted(
            owner(key) for keyid, key in staging.keys(role).items() if keyid in metadata.signatures
        ),
    }


def sign(staging: Staging, role: str, signer: Signer, expected_sha256: str | None = None) -> None:
    """Add one person's signature to a staged role.

    Args:
        expected_sha256: digest that the person looked at; what is staged must still have it.

    Raises:
        CeremonyRefused: the key is none of the role's, or the staged file is another one.
        KeysUnusable: the token refuses (wrong PIN).
    """
    metadata = staging.read(role)
    if expected_sha256 not in (None, digest(metadata.signed_bytes)):
        raise CeremonyRefused(f"{role} is not what was shown.", remedy="Look at it again.")
    _may_sign(staging, role, signer.public_key.keyid)
    try:
        metadata.sign(signer, append=True)
    except Exception as error:
        raise KeysUnusable("The key refused to sign.", remedy="Check PIN and token.") from error
    _verified(staging, role, metadata, signer.public_key.keyid)
    staging.write(role, metadata)


def take_back(staging: Staging, role: str, returned: bytes) -> None:
    """Take the signatures of a file that was signed on an offline machine.

    Raises:
        CeremonyRefused: it signs something else than what is staged, a signature is false,
            or it belongs to no key of the role.
    """
    metadata = staging.read(role)
    try:
        other = Metadata[Any].from_bytes(returned)
    except RepositoryError as error:
        raise CeremonyRefused("The returned file is no TUF metadata.") from error
    if other.signed_bytes != metadata.signed_bytes:
        raise CeremonyRefused(
            f"The returned file is not the staged {role}.",
            remedy="Find out what was signed there, and by whom; then sign what is staged.",
        )
    for keyid, signature in other.signatures.items():
        _may_sign(staging, role, keyid)
        metadata.signatures[keyid] = signature
        _verified(staging, role, metadata, keyid)
    staging.write(role, metadata)


def _may_sign(staging: Staging, role: str, keyid: str) -> None:
    if keyid not in staging.keys(role):
        raise CeremonyRefused(
            f"Key {keyid[:12]} may not sign {role}.", remedy="It was revoked, or is another's."
        )


def _verified(staging: Staging, role: str, metadata: Metadata[Any], keyid: str) -> None:
    key = staging.keys(role)[keyid]
    assert isinstance(key, SSlibKey)  # noqa: S101 # `public_key` makes no other
    try:
        key.verify_signature(metadata.signatures[keyid], metadata.signed_bytes)
    except Exception as error:
        raise CeremonyRefused(f"The signature of {owner(key)} over {role} is false.") from error

"""The one reader of the node's secret files.

On a host systemd decrypts them into a directory that only the service sees
(systemd.exec(5), LoadCredentialEncrypted). In development they are 0600 files below
a 0700 directory, and a file that others could read is refused.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from functools import partial
from pathlib import Path

from b3iq.credentials.errors import CredentialFileError
from b3iq.paths import Paths

TOKEN_PEPPER = "b3iq-token-pepper"  # noqa: S105 (the name of a credential, not one)
NODE_IDENTITY = "b3iq-node-identity"
# Certificate and private key of the LAN listener; there only where that is on.
LAN_TLS = "b3iq-lan-tls"

# Name → length in bytes: the pepper of token digests, the Ed25519 seed (RFC 8032).
LENGTHS = {TOKEN_PEPPER: 32, NODE_IDENTITY: 32}

# A key and a chain of certificates are a few kilobytes.
_PAIR_LIMIT = 256 * 1024

_REMEDY = "Make the missing ones with `b3iq credentials create`."
# A new secret is no repair: keys are kept as digests under the one, receipts signed by the
# other.
_RESTORE = "Restore it from a backup: the keys or the receipts of this node depend on it."


def read(name: str, paths: Paths) -> bytes:
    """The bytes of one secret.

    Raises:
        CredentialFileError: missing, of another length, not a plain file, or open to others.
    """
    secret = _read(name, paths, LENGTHS[name] + 1)
    if len(secret) != LENGTHS[name]:
        raise CredentialFileError(
            f"The secret {name} does not have {LENGTHS[name]} bytes.", remedy=_RESTORE
        )
    return secret


def read_pair(paths: Paths) -> bytes:
    """Certificate and private key of the LAN listener.

    Raises:
        CredentialFileError: missing, not a plain file, or open to others.
    """
    return _read(LAN_TLS, paths, _PAIR_LIMIT)


def has_pair(paths: Paths) -> bool:
    """Whether there is a certificate for the LAN listener, as far as this user may see it."""
    places = [paths.credentials]
    if paths == Paths.system():
        places.append(paths.encrypted_credentials)
    # Not Path.exists, which raises where the service may not look.
    return any(os.access(place / LAN_TLS, os.F_OK) for place in places)


def _read(name: str, paths: Paths, limit: int) -> bytes:
    path = paths.credentials / name
    by_systemd = os.environ.get("CREDENTIALS_DIRECTORY") == str(paths.credentials)
    if not by_systemd:
        _refuse_open(paths.credentials.stat() if paths.credentials.is_dir() else None, name)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise CredentialFileError(f"The secret {name} cannot be read.", remedy=_REMEDY) from error
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise CredentialFileError(f"The secret {name} is not a plain file.", remedy=_RESTORE)
        if not by_systemd:
            _refuse_open(status, name)
        return file.read(limit)


def _refuse_open(status: os.stat_result | None, name: str) -> None:
    if status is None:
        raise CredentialFileError("There is no directory of secrets.", remedy=_REMEDY)
    if status.st_mode & 0o077 or status.st_uid not in {0, os.geteuid()}:
        raise CredentialFileError(
            f"The secret {name}, or its directory, is open to other users.",
            remedy="Treat it as leaked: remove it, make a new one, and keep modes 0600 and 0700.",
        )


def create_missing(directory: Path) -> list[str]:
    """Make the secrets that are not there yet, as 0600 files; returns their names.

    Raises:
        OSError: the directory or a file cannot be made.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    created = []
    for name, length in LENGTHS.items():
        if _create(directory / name, partial(os.urandom, length)):
            created.append(name)
    return created


def create_pair(directory: Path, make: Callable[[], bytes]) -> list[str]:
    """Put the pair that `make` makes there if there is none, as `create_missing` does.

    Raises:
        OSError: the directory or the file cannot be made.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    return [LAN_TLS] if _create(directory / LAN_TLS, make) else []


def replace_pair(directory: Path, pair: bytes) -> None:
    """Put a pair there in place of the one before, at once and whole.

    Raises:
        OSError: the directory or the file cannot be made.
    """
    beside = directory / f".{LAN_TLS}.new"
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    beside.unlink(missing_ok=True)
    _create(beside, lambda: pair)
    beside.replace(directory / LAN_TLS)


def _create(path: Path, make: Callable[[], bytes]) -> bool:
    if path.exists():
        return False
    secret = make()
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        descriptor = os.open(path, flags, 0o600)
    except FileExistsError:
        return False
    with os.fdopen(descriptor, "wb") as file:
        file.write(secret)
        file.flush()
        os.fsync(file.fileno())
    return True

"""The one reader of the node's secret files.

On a host systemd decrypts them into a directory that only the service sees
(systemd.exec(5), LoadCredentialEncrypted). In development they are 0600 files below
a 0700 directory, and a file that others could read is refused.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from b3iq.credentials.errors import CredentialFileError
from b3iq.paths import Paths

TOKEN_PEPPER = "b3iq-token-pepper"  # noqa: S105 (the name of a credential, not one)
NODE_IDENTITY = "b3iq-node-identity"

# Name → length in bytes: the pepper of token digests, the Ed25519 seed (RFC 8032).
LENGTHS = {TOKEN_PEPPER: 32, NODE_IDENTITY: 32}

_REMEDY = "Make the missing ones with `b3iq credentials create`."
# A new secret is no repair: keys are kept as digests under the one, receipts signed by the
# other.
_RESTORE = "Restore it from a backup: the keys or the receipts of this node depend on it."


def read(name: str, paths: Paths) -> bytes:
    """The bytes of one secret.

    Raises:
        CredentialFileError: missing, of another length, not a plain file, or open to others.
    """
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
        secret = file.read(LENGTHS[name] + 1)
    if len(secret) != LENGTHS[name]:
        raise CredentialFileError(
            f"The secret {name} does not have {LENGTHS[name]} bytes.", remedy=_RESTORE
        )
    return secret


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
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            descriptor = os.open(directory / name, flags, 0o600)
        except FileExistsError:
            continue
        with os.fdopen(descriptor, "wb") as file:
            file.write(os.urandom(length))
            file.flush()
            os.fsync(file.fileno())
        created.append(name)
    return created

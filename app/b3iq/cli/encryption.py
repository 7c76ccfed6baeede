"""Encrypts a secret for this host: by its TPM2 if there is one, and its key (systemd-creds(1))."""

from __future__ import annotations

import os
import secrets
import subprocess
from pathlib import Path

from b3iq.errors import B3iqError


class EncryptionFailed(B3iqError):
    """systemd-creds did not encrypt a secret."""

    code = "credential_encryption_failed"
    title = "A secret could not be encrypted"


def encrypt(name: str, secret: bytes, directory: Path, *, replace: bool = False) -> bool:
    """Put a secret into a 0600 file of the directory; False if there is one already.

    Args:
        replace: put it in the place of the one that is there, at once and whole.

    Raises:
        EncryptionFailed: systemd-creds is missing or refuses.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = directory / name
    beside = directory / f".{name}.{secrets.token_hex(4)}"
    try:
        _encrypt(name, secret, beside)
        beside.chmod(0o600)
        if replace:
            beside.replace(path)
        else:
            # A link refuses to replace: two runs at once cannot swap a secret in use.
            os.link(beside, path)
    except FileExistsError:
        return False
    finally:
        beside.unlink(missing_ok=True)
    return True


def _encrypt(name: str, secret: bytes, path: Path) -> None:
    command = ["systemd-creds", "encrypt", f"--name={name}", "-", str(path)]
    try:
        subprocess.run(command, input=secret, check=True, capture_output=True)
    except FileNotFoundError as error:
        raise EncryptionFailed(
            "systemd-creds is not installed.", remedy="It comes with systemd 250 or newer."
        ) from error
    except subprocess.CalledProcessError as error:
        words = error.stderr.decode(errors="replace").strip().splitlines()
        raise EncryptionFailed(
            f"systemd-creds refused: {words[-1] if words else 'no reason given'}",
            remedy="Run as root on a host with systemd 250 or newer.",
        ) from error

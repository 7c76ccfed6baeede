"""`b3iq credentials`: makes the node's own secrets, which no one ever types or reads."""

from __future__ import annotations

import os
import secrets
import subprocess
from pathlib import Path

import click

from b3iq.cli import output
from b3iq.credentials import secret_files
from b3iq.errors import B3iqError, UsageError
from b3iq.paths import Paths


class EncryptionFailed(B3iqError):
    """systemd-creds did not encrypt a secret."""

    code = "credential_encryption_failed"
    title = "A secret could not be encrypted"


@click.group("credentials")
def credentials() -> None:
    """Make the node's secret files."""


@credentials.command("create")
@click.option("--encrypt", is_flag=True, help="As systemd encrypted credentials (needs root).")
@click.option(
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where to make them; by default where the node looks.",
)
@output.json_option
@click.pass_obj
def create(paths: Paths, encrypt: bool, directory: Path | None) -> None:
    """Make the secrets that are missing.

    Those that are there stay as they are. Names are printed, secrets never.
    """
    if encrypt:
        created = _create_encrypted(directory or paths.encrypted_credentials)
    elif directory is None and paths == Paths.system():
        raise UsageError(
            "An installed node keeps no plain secret files.",
            remedy="Use --encrypt, or name a --state directory.",
        )
    else:
        created = secret_files.create_missing(directory or paths.credentials)
    answer = {"changed": bool(created), "created": created}
    words = f"Made: {', '.join(created)}." if created else "Nothing was missing."
    output.show(answer, lambda console: console.print(words))


def _create_encrypted(directory: Path) -> list[str]:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    created = []
    for name, length in secret_files.LENGTHS.items():
        path = directory / name
        if path.exists():
            continue
        beside = directory / f".{name}.{secrets.token_hex(4)}"
        try:
            _encrypt(name, os.urandom(length), beside)
            beside.chmod(0o600)
            # A link refuses to replace: two runs at once cannot swap a secret in use.
            os.link(beside, path)
        except FileExistsError:
            continue
        finally:
            beside.unlink(missing_ok=True)
        created.append(name)
    return created


def _encrypt(name: str, secret: bytes, path: Path) -> None:
    """Encrypt for this host (systemd-creds(1)): by its TPM2 if there is one, and its key."""
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

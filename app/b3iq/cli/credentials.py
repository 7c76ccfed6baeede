"""`b3iq credentials`: makes the node's own secrets, which no one ever types or reads."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import click

from b3iq.cli import output
from b3iq.cli.encryption import encrypt
from b3iq.credentials import secret_files, tls_pair
from b3iq.errors import UsageError
from b3iq.paths import Paths


@click.group("credentials")
def credentials() -> None:
    """Make the node's secret files."""


@credentials.command("create")
@click.option(
    "--encrypt", "encrypted", is_flag=True, help="As systemd encrypted credentials (needs root)."
)
@click.option(
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where to make them; by default where the node looks.",
)
@click.option(
    "--lan-name",
    "lan_names",
    multiple=True,
    help="Make a certificate for the LAN listener too, for this name or address.",
)
@output.json_option
@click.pass_obj
def create(
    paths: Paths, encrypted: bool, directory: Path | None, lan_names: tuple[str, ...]
) -> None:
    """Make the secrets that are missing.

    Those that are there stay as they are. Names are printed, secrets never.
    """
    if encrypted:
        created = _create_encrypted(directory or paths.encrypted_credentials, lan_names)
    elif directory is None and paths == Paths.system():
        raise UsageError(
            "An installed node keeps no plain secret files.",
            remedy="Use --encrypt, or name a --state directory.",
        )
    else:
        place = directory or paths.credentials
        created = secret_files.create_missing(place)
        if lan_names:
            created += secret_files.create_pair(place, partial(tls_pair.make, list(lan_names)))
    answer = {"changed": bool(created), "created": created}
    words = f"Made: {', '.join(created)}." if created else "Nothing was missing."
    output.show(answer, lambda console: console.print(words))


def _create_encrypted(directory: Path, lan_names: tuple[str, ...]) -> list[str]:
    missing: dict[str, Callable[[], bytes]] = {
        name: partial(os.urandom, length) for name, length in secret_files.LENGTHS.items()
    }
    if lan_names:
        missing[secret_files.LAN_TLS] = partial(tls_pair.make, list(lan_names))
    return [
        name
        for name, make in missing.items()
        if not (directory / name).exists() and encrypt(name, make(), directory)
    ]

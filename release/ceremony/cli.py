"""`python -m release ceremony`: the numbered steps of release/README.md as commands."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO

import click
from rich.console import Console
from rich.table import Table
from securesystemslib.signer import Key

from b3iq.errors import UsageError
from release.ceremony import publish as publish_
from release.ceremony import signing, steps
from release.ceremony import status as status_
from release.ceremony.staging import Staging, public_key

_FILE = click.Path(path_type=Path, dir_okay=False, exists=True)
_staging = click.option(
    "--staging", type=click.Path(path_type=Path, file_okay=False), required=True,
    help="Staging directory; it holds no key.",
)  # fmt: skip
_keys = click.option(
    "--public", multiple=True, required=True, metavar="ROLE:HOLDER=FILE",
    help="A public key in PEM, its role and who holds it; once for each key.",
)  # fmt: skip
_secret = click.option(
    "--secret-file", type=click.File("r"), help="Passphrase or PIN; - reads standard input."
)


@click.group()
def ceremony() -> None:
    """Stage, sign and publish with several people's keys (release/README.md)."""


@ceremony.command()
@_staging
@_keys
def init(staging: Path, public: tuple[str, ...]) -> None:
    """1: Make the first root (3 of 5 keys) and targets (2 of 3), unsigned."""
    steps.init(Staging(staging), _public(public), datetime.now(UTC))


@ceremony.command()
@_staging
@_keys
def delegate(staging: Path, public: tuple[str, ...]) -> None:
    """2: Delegate releases, models or channels to keys of their own."""
    steps.delegate(Staging(staging), _public(public), datetime.now(UTC))


@ceremony.command("add-release")
@_staging
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False, exists=True))
def add_release(staging: Path, directory: Path) -> None:
    """3: Add every file of DIRECTORY as the target with its relative path."""
    files = {str(p.relative_to(directory)): p for p in directory.rglob("*") if p.is_file()}
    for role in steps.add_release(Staging(staging), files, datetime.now(UTC)):
        click.echo(f"{role} needs signatures.")


@ceremony.command()
@_staging
@click.argument("role")
@click.option("--key", help="file2:PATH or hsm:ID?label=TOKEN.")
@_secret
@click.option("--returned", type=_FILE, help="Take signatures from this file instead.")
@click.option("--sha256", help="Sign without a question what has this digest.")
def sign(
    staging: Path,
    role: str,
    key: str | None,
    secret_file: IO[str] | None,
    returned: Path | None,
    sha256: str | None,
) -> None:
    """4: Show what ROLE says, and sign it with one key."""
    place = Staging(staging)
    shown = signing.summary(place, role)
    click.echo(json.dumps(shown, indent=1))
    if returned is not None:
        signing.take_back(place, role, returned.read_bytes())
        return
    if key is None:
        raise UsageError("No key is given.", remedy="Name it with --key, or give --returned.")
    if sha256 is None:
        if not sys.stdin.isatty():
            raise UsageError("Nobody can be asked.", remedy="Give the digest with --sha256.")
        click.confirm(f"Sign {role} version {shown['version']}?", abort=True)
    signer = signing.open_key(key, _secret_of(secret_file))
    signing.sign(place, role, signer, sha256 or shown["sha256"])


@ceremony.command()
@_staging
@click.option("--key", multiple=True, required=True, help="Keys of snapshot and timestamp.")
@_secret
def resign(staging: Path, key: tuple[str, ...], secret_file: IO[str] | None) -> None:
    """5: Sign a new snapshot and timestamp; daily, and after step 4."""
    secret = _secret_of(secret_file)
    signers = [signing.open_key(uri, secret) for uri in key]
    steps.resign(Staging(staging), signers, datetime.now(UTC))


@ceremony.command("rotate-key")
@_staging
@click.argument("role")
@click.option("--old", required=True, metavar="KEYID", help="Key that is lost or stolen.")
@click.option("--new", required=True, metavar="HOLDER=FILE", help="Public key in its place.")
def rotate_key(staging: Path, role: str, old: str, new: str) -> None:
    """6: Replace a key of ROLE; a new root needs the old threshold and the new one."""
    holder, _, file = new.partition("=")
    key = public_key(holder, Path(file))
    signer = steps.rotate_key(Staging(staging), role, old, key, datetime.now(UTC))
    click.echo(f"{signer} needs signatures.")


@ceremony.command()
@_staging
@click.option("--json", "as_json", is_flag=True, help="Print one JSON list.")
@click.option("--metrics", is_flag=True, help="Print Prometheus' text format.")
def status(staging: Path, as_json: bool, metrics: bool) -> None:
    """7: Say what expires when, and who must sign what."""
    rows = status_.status(Staging(staging), datetime.now(UTC))
    if as_json or metrics:
        click.echo(status_.metrics(rows) if metrics else json.dumps(rows), nl=not metrics)
        return
    table = Table("role", "version", "expires", "lacks", "may sign")
    for row in rows:
        lacks = str(row["signatures_missing"])
        table.add_row(
            row["role"], str(row["version"]), row["expires"], lacks, ", ".join(row["may_sign"])
        )
    Console(emoji=False).print(table)


@ceremony.command()
@_staging
@click.option("--to", type=click.Path(path_type=Path, file_okay=False), required=True)
@click.option("--channel", default="stable", show_default=True)
@click.option("--days", default=3, show_default=True, help="Nothing may expire so soon.")
@click.option("--without-independent-client", default="", metavar="REASON")
def publish(
    staging: Path, to: Path, channel: str, days: int, without_independent_client: str
) -> None:
    """8: Publish what our own client accepts, now and in some days."""
    now = datetime.now(UTC)
    future = now + timedelta(days=days)
    publish_.publish(staging, to, channel, now, future, without_independent_client)


def _public(given: Sequence[str]) -> dict[str, list[Key]]:
    found: dict[str, list[Key]] = {}
    for item in given:
        role, _, rest = item.partition(":")
        holder, separator, file = rest.partition("=")
        if not separator:
            raise UsageError(f"{item} is not ROLE:HOLDER=FILE.")
        found.setdefault(role, []).append(public_key(holder, Path(file)))
    return found


def _secret_of(file: IO[str] | None) -> str | None:
    return None if file is None else str(file.read()).rstrip("\n")

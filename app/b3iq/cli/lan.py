"""`b3iq lan`: what other machines reach, and the certificate that they are shown."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from b3iq.cli import output
from b3iq.cli.client import AdminClient
from b3iq.cli.encryption import encrypt
from b3iq.config import NodeConfig, load
from b3iq.credentials import secret_files, tls_pair
from b3iq.errors import UsageError
from b3iq.paths import Paths

_LIMIT = 128 * 1024
_NEXT = "Restart the node to serve with it: systemctl restart b3iq-node (or `b3iq serve` again)."


@click.group("lan", invoke_without_command=True)
@output.json_option
@click.pass_context
def lan(ctx: click.Context) -> None:
    """Show what other machines reach; make or import the certificate."""
    if ctx.invoked_subcommand is not None:
        return
    answer = AdminClient(ctx.obj).get("/admin/status")
    facts = {"claimed": answer["claimed"], "lan": answer["lan"]}
    output.show(facts, lambda console: _tell(console, facts))


def _tell(console: Console, facts: dict[str, Any]) -> None:
    on = facts["lan"]
    if on is None:
        console.print("Other machines are not answered: the node listens on loopback only.")
        return
    signed = "self-signed: clients pin it" if on["self_signed"] else "signed by another authority"
    lines = {
        "addresses": " ".join(on["urls"]),
        "answers": " ".join(on["allow"]) if facts["claimed"] else "nobody: not claimed yet",
        "certificate": f"until {on['not_after'][:10]}, {signed}",
        "sha-256": on["fingerprint_sha256"],
    }
    if on["missing_names"]:
        lines["not for"] = f"{' '.join(on['missing_names'])}; run `b3iq lan renew`, restart"
    for name, value in lines.items():
        console.print(f"{name:<12} {value}", markup=False, soft_wrap=True)


@lan.command("certificate")
@output.json_option
@click.pass_obj
def certificate(paths: Paths) -> None:
    """Print the certificate as PEM, for clients to pin; it is no secret."""
    on = AdminClient(paths).get("/admin/status")["lan"]
    if on is None:
        raise UsageError(
            "The node listens on loopback only.", remedy="Set node_lan_listen_address first."
        )
    answer = {"pem": on["pem"], "fingerprint_sha256": on["fingerprint_sha256"]}
    output.show(answer, lambda _console: click.echo(on["pem"], nl=False))


@lan.command("renew")
@click.option("--name", "names", multiple=True, help="A name or address that it is for.")
@output.json_option
@click.pass_obj
def renew(paths: Paths, names: tuple[str, ...]) -> None:
    """Make a new self-signed certificate; clients that pinned the old one must pin it.

    Without --name it is for the names and the address of the settings.
    """
    wanted = list(names) or load(NodeConfig, paths.node_config).lan_names
    if not wanted:
        raise UsageError("The settings name no LAN address.", remedy="Say it with --name.")
    _keep(paths, tls_pair.make(wanted))


@lan.command("import")
@click.option(
    "--certificate-file",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="Your certificate, its chain behind it, as PEM.",
)
@click.option(
    "--key-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Its private key as PEM, mode 0600, without a passphrase.",
)
@click.option("--key-stdin", is_flag=True, help="Read the private key from standard input.")
@output.json_option
@click.pass_obj
def import_pair(
    paths: Paths, certificate_file: Path, key_file: Path | None, key_stdin: bool
) -> None:
    """Serve with your own certificate; the key is kept as a secret of the node."""
    if (key_file is None) == (not key_stdin):
        raise UsageError("Give the key once.", remedy="Use --key-file FILE or --key-stdin.")
    public = _read(certificate_file, private=False)
    key = sys.stdin.buffer.read(_LIMIT) if key_file is None else _read(key_file, private=True)
    _keep(paths, tls_pair.join(public, key))


def _keep(paths: Paths, pair: bytes) -> None:
    if paths == Paths.system():
        encrypt(secret_files.LAN_TLS, pair, paths.encrypted_credentials, replace=True)
    else:
        secret_files.replace_pair(paths.credentials, pair)
    made = tls_pair.describe(pair)
    answer = {
        "fingerprint_sha256": made.fingerprint,
        "names": list(made.names),
        "not_after": made.not_after.isoformat(),
    }

    def for_people(console: Console) -> None:
        names = ", ".join(made.names)
        console.print(f"A certificate for {names}, until {made.not_after:%Y-%m-%d}.", markup=False)
        console.print(f"sha-256 {made.fingerprint}", soft_wrap=True)
        console.print(_NEXT, soft_wrap=True)

    output.show(answer, for_people)


def _read(path: Path, *, private: bool) -> bytes:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if private and stat.S_ISREG(mode) and mode & 0o077:
                raise UsageError(
                    f"{path} can be read by other users.", remedy=f"Run: chmod 600 {path}"
                )
            return file.read(_LIMIT)
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read: {error.strerror}.", remedy="Name a PEM file."
        ) from error

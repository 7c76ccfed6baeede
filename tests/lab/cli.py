"""The lab's command line: image, create, inventory, destroy, list, shell, exec, guard."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from b3iq.errors import B3iqError
from tests.lab import host as hosts
from tests.lab import image as images
from tests.lab import inventory as inventories

_console = Console(stderr=True)
_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")
_name = click.argument("name")


def _print(value: Any) -> None:
    click.echo(json.dumps(value, indent=2))


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Throwaway systemd hosts: boot one in seconds, reach it by SSH, destroy it without a trace."""


@cli.command()
@_as_json
def image(*, as_json: bool) -> None:
    """Build the base image, or find it in the cache."""
    path, built = _image(as_json=as_json)
    if as_json:
        _print({"image": str(path), "changed": built})
    else:
        click.echo(path)


def _image(*, as_json: bool) -> tuple[Any, bool]:
    if as_json:
        return images.ensure()
    with _console.status("Base image: building Debian 12 if the cache lacks it (half a minute)"):
        return images.ensure()


@cli.command()
@_name
@_as_json
def create(name: str, *, as_json: bool) -> None:
    """Boot a host NAME and print what an inventory needs, as JSON."""
    _image(as_json=as_json)
    if as_json:
        _print(hosts.create(name).facts())
        return
    with _console.status(f"{name}: booting"):
        made = hosts.create(name)
    _print(made.facts())


@cli.command()
@_name
@click.option("--repository", type=click.Path(path_type=Path), required=True)
@click.option("--trusted-root", type=click.Path(path_type=Path), required=True)
@click.option("--output", type=click.Path(path_type=Path), required=True)
def inventory(name: str, repository: Path, trusted_root: Path, output: Path) -> None:
    """Write an inventory of host NAME into the OUTPUT directory, as an operator would."""
    inventories.write(hosts.get(name), output, repository, trusted_root)
    click.echo(output)


@cli.command()
@_name
@_as_json
def destroy(name: str, *, as_json: bool) -> None:
    """End host NAME and remove all it left; nothing to do is no error."""
    changed = hosts.destroy(name)
    if as_json:
        _print({"changed": changed})
    else:
        _console.print(f"{name}: destroyed" if changed else f"{name}: there was no such host")


@cli.command("list")
@_as_json
def list_hosts(*, as_json: bool) -> None:
    """List the lab hosts of this machine, orphans included."""
    found = hosts.running()
    if as_json:
        _print(found)
        return
    table = Table("Name", "Address", "State", "Directory")
    for entry in found:
        state = "running" if entry["alive"] else "orphan: destroy it"
        table.add_row(entry["name"], entry.get("address", "-"), state, entry["directory"])
    Console().print(table)


@cli.command(context_settings={"ignore_unknown_options": True})
@_name
@click.argument("command", nargs=-1)
def shell(name: str, command: tuple[str, ...]) -> None:
    """Open a root shell on host NAME, or run COMMAND there and exit as it does."""
    options = ("-t",) if not command and sys.stdin.isatty() else ()
    line = hosts.get(name).ssh(*command, options=options)
    os.execvp(line[0], line)  # noqa: S606  an argument list, no shell on this side


@cli.command("exec", context_settings={"ignore_unknown_options": True})
@_name
@click.argument("command", nargs=-1, required=True)
@_as_json
def execute(name: str, command: tuple[str, ...], *, as_json: bool) -> None:
    """Run COMMAND on host NAME; with --json print its status and output."""
    done = hosts.get(name).run(" ".join(command), check=False, timeout=600)
    if as_json:
        _print({"rc": done.returncode, "stdout": done.stdout, "stderr": done.stderr})
        return
    click.echo(done.stdout, nl=False)
    click.echo(done.stderr, nl=False, err=True)
    sys.exit(done.returncode)


@cli.command(context_settings={"ignore_unknown_options": True})
@click.argument("command", nargs=-1, required=True)
def guard(command: tuple[str, ...]) -> None:
    """Run COMMAND; hosts created under it end when it ends, however it ends."""
    environment = {**os.environ, hosts.OWNER: str(os.getpid())}
    # In a group of its own, so that a stop reaches the whole command and is waited for.
    child = subprocess.Popen(command, env=environment, process_group=0)

    def forward(number: int, _frame: object) -> None:
        os.killpg(child.pid, number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, forward)
    status = child.wait()
    sys.exit(status if status >= 0 else 128 - status)


def _terminated(_signal: int, _frame: object) -> None:
    # As Ctrl-C does: unwind, so that a half-made host is removed.
    sys.exit(143)


def main() -> None:
    """Entry point of `python -m tests.lab`."""
    run(cli, "python -m tests.lab")


def run(command: click.Command, name: str) -> None:
    """Run a command line; errors are one line with a remedy."""
    os.umask(0o077)
    signal.signal(signal.SIGTERM, _terminated)
    signal.signal(signal.SIGHUP, _terminated)
    try:
        command(prog_name=name)
    except B3iqError as error:
        click.echo(f"error: {error.message}", err=True)
        sys.exit(error.exit_code)

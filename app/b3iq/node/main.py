"""Entry point of the node process: ``b3iq-node --config FILE --paths system|DIR``."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

import click

from b3iq import logs
from b3iq.config import NodeConfig, load
from b3iq.credentials.secret_files import has_pair
from b3iq.errors import B3iqError, ConfigError
from b3iq.paths import Paths


@click.command(name="b3iq-node")
@click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    required=True,
    help="Settings of the node: node.toml.",
)
@click.option(
    "--paths", "layout", required=True, help="'system', or the directory of a development node."
)
@click.option("--check", is_flag=True, help="Read the settings, say what is wrong, and exit.")
def main(config_file: Path, layout: str, *, check: bool) -> None:
    """Serve the setup page, the console, the local API and the administrator's socket."""
    os.umask(0o077)
    logs.configure()
    # Alembic tells every plugin that it loads.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    try:
        paths = Paths.system() if layout == "system" else Paths.under(Path(layout))
        if check:
            refuse_lan_without_tls(load(NodeConfig, config_file), paths)
            return
        serve(config_file, paths)
    except B3iqError as error:
        click.echo(error.message, err=True)
        sys.exit(error.exit_code)


def refuse_lan_without_tls(config: NodeConfig, paths: Paths) -> None:
    """Refuse settings that would have other machines answered without a certificate.

    Raises:
        ConfigError: there is none.
    """
    if config.has_lan and not has_pair(paths):
        raise ConfigError(
            "lan_listen_address is set, and the LAN listener has no certificate.",
            remedy="Make one with `b3iq lan renew`, or bring your own with `b3iq lan import`.",
        )


def serve(config_file: Path, paths: Paths) -> None:
    """Serve until SIGTERM; does not return.

    Raises:
        ConfigError: the settings are wrong, or the port is taken.
    """
    # Costly imports, after the options were found good.
    from b3iq.node.server import NodeServer, refuse_taken_port

    config = load(NodeConfig, config_file)
    refuse_lan_without_tls(config, paths)
    inherited = os.environ.get("LISTEN_PID") == str(os.getpid())
    if not inherited:
        refuse_taken_port(config)
        paths.run.mkdir(mode=0o700, parents=True, exist_ok=True)
    NodeServer(config, paths).run()

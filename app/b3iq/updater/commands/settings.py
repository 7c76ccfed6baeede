"""`settings`: read a settings file before it replaces the old one."""

from __future__ import annotations

from pathlib import Path

import click

from b3iq.config import load
from b3iq.updater.settings import UpdateSettings


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def settings(file: Path) -> None:
    """Read FILE as update.toml and say what is wrong with it."""
    load(UpdateSettings, file)

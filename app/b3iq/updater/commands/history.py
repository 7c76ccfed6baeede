"""`history`: how the last updates ended."""

from __future__ import annotations

import json
from pathlib import Path

import click

from b3iq.updater import journal, status
from b3iq.updater.commands import common, common_machine


@click.command()
@common.options
def history(root_directory: Path, as_json: bool) -> None:
    """Show how the last updates ended, oldest first."""
    ended = journal.read(status.rooted(root_directory)).history
    if as_json:
        click.echo(json.dumps([outcome.model_dump(mode="json") for outcome in ended]))
        return
    for outcome in ended:
        click.echo(common_machine.line(outcome))
    if not ended:
        click.echo("No update has ended here yet.")

"""`check`: is there something newer?"""

from __future__ import annotations

import json
from pathlib import Path

import click

from b3iq.updater import decision
from b3iq.updater.commands import common
from b3iq.updater.decision import Decision, Question


@click.command()
@common.from_bundle
@common.options
def check(bundle: bool, root_directory: Path, as_json: bool) -> None:
    """Ask the repository whether there is something newer; install nothing."""
    question = Question(root_directory, decision.settings(root_directory), from_bundle=bundle)
    with common.decided(question) as made:
        show(made, as_json=as_json)


def show(made: Decision, *, as_json: bool) -> None:
    """Print what was found."""
    found = common.summary(made)
    if as_json:
        click.echo(json.dumps(found))
        return
    console = common.terminal()
    if found["newer"]:
        console.print(f"Release {found['version']} is available.", soft_wrap=True)
        common.show_gates(made.gates, only_closed=True)
    else:
        console.print("There is nothing newer than what runs here.", soft_wrap=True)

"""`plan`: what an update would fetch and do, and what is in its way."""

from __future__ import annotations

import json
from pathlib import Path

import click

from b3iq.updater import decision
from b3iq.updater.commands import common
from b3iq.updater.decision import Question


@click.command()
@common.from_bundle
@common.options
def plan(bundle: bool, root_directory: Path, as_json: bool) -> None:
    """Say what an update would fetch and do, and which gates pass; install nothing."""
    question = Question(
        root_directory, decision.settings(root_directory), from_bundle=bundle, asked=True
    )
    with common.decided(question) as made:
        found = common.summary(made)
        if as_json:
            click.echo(json.dumps(found))
            return
        console = common.terminal()
        console.print(f"Release {found['version']}", soft_wrap=True)
        for item in found["fetch"]:
            size = f"{item['length'] / 1024 / 1024:8.1f} MiB"
            console.print(f"  fetch {size}  {item['target']}", markup=False, soft_wrap=True)
        for step in found["steps"]:
            console.print(f"  {step}", markup=False, soft_wrap=True)
        console.print(f"To fetch: {found['fetch_bytes'] / 1024 / 1024:.1f} MiB", soft_wrap=True)
        common.show_gates(made.gates)

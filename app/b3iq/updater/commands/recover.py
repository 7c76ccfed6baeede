"""`recover`: finish an update that was interrupted."""

from __future__ import annotations

from pathlib import Path

import click

from b3iq.updater import journal, transaction
from b3iq.updater.commands import common, common_machine
from b3iq.updater.phases import State


@click.command()
@click.option("--before-start", is_flag=True, help="At boot: choose what will be started.")
@click.option("--after-start", is_flag=True, help="At boot: judge what was started.")
@click.option("--forget-state", is_flag=True, help="Begin a new state where it is damaged.")
@common.options
def recover(
    before_start: bool, after_start: bool, forget_state: bool, root_directory: Path, as_json: bool
) -> None:
    """Finish an interrupted update; again does nothing."""
    with common_machine.locked(root_directory) as paths:
        if forget_state:
            journal.write(paths, State(current=journal.standing(paths)))
        outcome = transaction.recover(paths, before_start=before_start, after_start=after_start)
        common_machine.show(outcome, as_json)

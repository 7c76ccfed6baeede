"""`rollback`: go back to the former release."""

from __future__ import annotations

from pathlib import Path

import click

from b3iq.updater.commands import common, common_machine


@click.command()
@common.options
def rollback(root_directory: Path, as_json: bool) -> None:
    """Try the release that ran before, and stay there if it works.

    The release that is left counts as bad from then on, so that no timer brings it back.
    """
    common_machine.show(common_machine.go_back(root_directory), as_json)

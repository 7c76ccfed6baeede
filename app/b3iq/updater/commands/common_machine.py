"""What the verbs of the state machine share: where, under which lock, and how it is told."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import click

from b3iq.paths import Paths
from b3iq.updater import fsops, status
from b3iq.updater.phases import Outcome

root_directory = click.option(
    "--root-directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("/"),
    help="Where the host's file system begins; for images and tests.",
)
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@contextlib.contextmanager
def locked(root: Path) -> Iterator[Paths]:
    """The machine's layout, while no other updater runs."""
    paths = status.rooted(root)
    with fsops.exclusive(paths.updater_state / "lock"):
        yield paths


def show(outcome: Outcome | None, as_json: bool) -> None:
    """Print how it ended."""
    if as_json:
        told = None if outcome is None else outcome.model_dump(mode="json")
        click.echo(json.dumps({"changed": outcome is not None, "outcome": told}))
    elif outcome is None:
        click.echo("There was nothing to do.")
    else:
        click.echo(line(outcome))


def line(outcome: Outcome) -> str:
    """An outcome for people."""
    words = {
        "committed": "committed",
        "rolled_back": "rolled back",
        "kept": "kept, though it failed",
    }
    reason = f": {outcome.reason}" if outcome.reason else ""
    return (
        f"{outcome.at:%Y-%m-%d %H:%MZ}  {outcome.release.version}  {words[outcome.result]}{reason}"
    )

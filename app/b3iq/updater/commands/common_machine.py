"""What the verbs of the state machine share: where, under which lock, and how it is told."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import click

from b3iq.paths import Paths
from b3iq.updater import announce, fsops, status, transaction
from b3iq.updater.phases import Outcome
from b3iq.updater.refusals import TrialFailed


@contextlib.contextmanager
def locked(root: Path) -> Iterator[Paths]:
    """The machine's layout, while no other updater runs."""
    paths = status.rooted(root)
    with fsops.exclusive(paths.updater_state / "lock"):
        yield paths


def finish_interrupted(root: Path) -> None:
    """Recover an update that was cut short, before anything new is decided.

    Raises:
        StateUnreadable: the running release is kept.
    """
    with locked(root) as paths:
        if outcome := transaction.recover(paths):
            announce.changed(paths, outcome)


def go_back(root: Path) -> Outcome:
    """Roll back, and tell the node.

    Raises:
        NoFormerRelease, DataTooNew: nothing was switched.
        TrialFailed: the former release failed its checks.
    """
    with locked(root) as paths:
        transaction.recover(paths)
        outcome = transaction.rollback(paths)
        announce.changed(paths, outcome)
        insist(outcome)
        return outcome


def insist(outcome: Outcome | None) -> None:
    """Make a trial that failed a failure of the verb.

    Raises:
        TrialFailed: it was not committed.
    """
    if outcome is not None and outcome.result != "committed":
        raise TrialFailed(
            announce.told(outcome), remedy="`b3iq update history` keeps this; see also the journal."
        )


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

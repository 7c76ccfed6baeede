"""`explain`: why the node did, or did not, update."""

from __future__ import annotations

import json
from pathlib import Path

import click

from b3iq.errors import UsageError
from b3iq.updater import decision, status
from b3iq.updater.commands import common
from b3iq.updater.decision import Question
from b3iq.updater.gates import Gate
from b3iq.updater.refusals import Refused
from b3iq.updates import status as status_


@click.command()
@click.option("--last", is_flag=True, help="Explain the last decision; ask nobody.")
@common.from_bundle
@common.options
def explain(last: bool, bundle: bool, root_directory: Path, as_json: bool) -> None:
    """Show every gate, passed or not, and why.

    With --json a list of gates with id, result (passed, waiting, failed), reason and remedy.
    """
    gates = _last(root_directory) if last else _now(root_directory, bundle)
    if as_json:
        click.echo(json.dumps(common.as_data(gates)))
    else:
        common.show_gates(gates)


def _last(root: Path) -> tuple[Gate, ...]:
    written = status_.read(status.rooted(root).update_status)
    if written is None:
        raise UsageError("No decision was made here yet.", remedy="Run `b3iq update check`.")
    return written.gates


def _now(root: Path, bundle: bool) -> tuple[Gate, ...]:
    question = Question(root, decision.settings(root), from_bundle=bundle)
    try:
        with common.decided(question) as made:
            return made.gates
    except Refused as error:
        # A repository that is refused is an answer here, not a failure.
        return decision.refused(error)

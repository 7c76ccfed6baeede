"""What the verbs share: their options, one run of a decision, and how gates are shown."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from b3iq.updater import announce, decision
from b3iq.updater.decision import Decision, Question
from b3iq.updater.gates import Gate
from b3iq.updater.plan import Place
from b3iq.updater.refusals import Refused

Command = TypeVar("Command", bound=Callable[..., Any])
_STYLES = {"passed": "green", "waiting": "yellow", "failed": "bold red"}


def options(command: Command) -> Command:
    """Options of every verb of this kind."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print JSON."),
        click.option(
            "--root-directory",
            type=click.Path(path_type=Path, file_okay=False),
            default=Path("/"),
            show_default=True,
            help="Where the host's file system begins; for images and tests.",
        ),
    ):
        command = option(command)
    return command


from_bundle = click.option(
    "--bundle", is_flag=True, help="Use the imported bundle, whatever update.toml says."
)


@contextlib.contextmanager
def decided(question: Question) -> Iterator[Decision]:
    """Decide and tell the node; a refusal is told too, and goes on to the caller.

    Raises:
        Refused: the repository is refused.
    """
    try:
        with decision.decided(question) as made:
            announce.write(question.paths, question.settings, made.gates, made.release)
            yield made
    except Refused as error:
        if error.code not in {"busy", "gates_closed", "trial_failed"}:
            gates = decision.refused(error)
            announce.write(question.paths, question.settings, gates, None)
        raise


def as_data(gates: tuple[Gate, ...]) -> list[dict[str, Any]]:
    """Gates for machines."""
    return [gate.model_dump() for gate in gates]


def summary(made: Decision) -> dict[str, Any]:
    """What a decision found, for machines."""
    manifest = made.release.manifest
    archives = [step.archive for step in made.steps if isinstance(step, Place)]
    return {
        "version": manifest.version,
        "sequence": manifest.sequence,
        "newer": next(gate.result for gate in made.gates if gate.id == "newer") == "passed",
        "fetch_bytes": sum(archive.length for archive in archives),
        "fetch": [{"target": a.target, "length": a.length} for a in archives],
        "steps": [str(step) for step in made.steps],
        "gates": as_data(made.gates),
    }


def terminal() -> Console:
    """Where words for people go."""
    return Console(emoji=False, highlight=False)


def show_gates(gates: tuple[Gate, ...], *, only_closed: bool = False) -> None:
    """Print the gates for people."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for gate in gates:
        if only_closed and gate.result == "passed":
            continue
        words = Text(gate.reason)
        if gate.remedy and gate.result != "passed":
            words.append(f"\n→ {gate.remedy}", style="cyan")
        grid.add_row(Text(gate.result, style=_STYLES[gate.result]), Text(gate.id), words)
    terminal().print(grid)

"""`b3iq doctor`: is this node as it must be, and what to do where it is not."""

from __future__ import annotations

import os
from collections.abc import Sequence

import click
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from b3iq.checks.check import Check, Finding, Level
from b3iq.checks.host import Host
from b3iq.checks.registry import CHECKS
from b3iq.checks.runner import ONLY_ON_A_HOST, Report, run, select
from b3iq.cli import output
from b3iq.errors import UsageError
from b3iq.paths import Paths

_STYLES = {
    Level.OK: ("ok", "green"),
    Level.WARNING: ("warning", "yellow"),
    Level.FAILED: ("failed", "bold red"),
    Level.SKIPPED: ("skipped", "dim"),
    Level.COULD_NOT_RUN: ("not run", "bold magenta"),
}


@click.command("doctor")
@click.argument("checks", nargs=-1, metavar="[CHECK]...")
@click.option("--deep", is_flag=True, help="Read every byte of models and release (slow).")
@click.option("--list", "only_list", is_flag=True, help="Say what each check examines.")
@output.json_option
@click.pass_context
def doctor(ctx: click.Context, checks: tuple[str, ...], deep: bool, only_list: bool) -> None:
    """Examine the node: all of it, or each CHECK by its id.

    Nothing is changed and nothing leaves the machine. The services may be down. What is wrong
    is said with what to do about it.

    Exit status: 0, no check failed (there may be warnings); 1, one failed; 2, doctor or one of
    the checks could not look, and none failed.
    """
    selected = select(CHECKS, checks)
    if only_list:
        _show_list(selected)
        return
    report = run(CHECKS, selected, _host(ctx.obj, deep))
    output.show(report.to_json(), lambda console: show_report(console, report))
    ctx.exit(report.exit_code)


def _host(paths: Paths, deep: bool) -> Host:
    installed = paths == Paths.system()
    if installed and not (paths.etc.exists() or paths.current.is_symlink()):
        raise UsageError(
            "No node is installed on this machine.",
            remedy="For a development node name its state: b3iq --state DIRECTORY doctor.",
        )
    if installed and os.geteuid() != 0:
        raise UsageError("This needs root.", remedy="Run it with sudo.")
    if not installed and not paths.etc.is_dir():
        raise UsageError(
            f"There is no node in {paths.etc.parent}.",
            remedy="Name the directory that `b3iq serve` was given, or start a node with it.",
        )
    return Host(paths, installed=installed, deep=deep)


def _show_list(selected: Sequence[Check]) -> None:
    listed = [
        {"id": check.id, "title": check.title, "examines": check.examines} for check in selected
    ]

    def for_people(console: Console) -> None:
        for check in selected:
            console.print(Text(check.id, style="bold"))
            console.print(Padding(Text(f"{check.title}: {check.examines}"), (0, 0, 0, 2)))

    output.show({"checks": listed}, for_people)


def show_report(console: Console, report: Report) -> None:
    """The table for people: each check, and the remedy under each finding."""
    shown = [result for result in report.results if result.finding != ONLY_ON_A_HOST]
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for result in shown:
        word, style = _STYLES[result.finding.level]
        grid.add_row(Text(word, style=style), Text(result.check.id), _words(result.finding))
    console.print(grid)
    counts = [
        f"{report.count(level)} {word}"
        for level, (word, _) in _STYLES.items()
        if report.count(level)
    ]
    console.print(Text(f"\n{len(report.results)} checks: {', '.join(counts)}."))
    if left := [result.check.id for result in report.results if result not in shown]:
        said = f"Skipped, since only an installed host has it: {', '.join(left)}."
        console.print(Text(said, style="dim"))


def _words(finding: Finding) -> Text:
    quiet = finding.level in {Level.OK, Level.SKIPPED}
    words = Text(finding.said, style="dim" if quiet else "")
    if finding.remedy and not quiet:
        words.append(f"\n→ {finding.remedy}", style="cyan")
    return words

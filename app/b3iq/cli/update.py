"""`b3iq update`: the installed updater's verbs.

The updater is a layer of its own with its own libraries, so it is started in the place of this
process, and this process knows nothing of what it does.
"""

from __future__ import annotations

import os
import sys

import click

from b3iq.errors import UsageError
from b3iq.paths import Paths

_EVERYTHING = {"ignore_unknown_options": True, "allow_interspersed_args": False}


@click.command("update", context_settings=_EVERYTHING, add_help_option=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_obj
def update(paths: Paths, as_json: bool, arguments: tuple[str, ...]) -> None:
    """Check, plan, apply, undo and explain updates; `b3iq update --help` lists the verbs."""
    updater = paths.updater / "bin" / "b3iq-updater"
    if not updater.is_file():
        raise UsageError(
            "No updater is installed here.",
            remedy="A node is installed by the playbook; a checkout has `python -m b3iq.updater`.",
        )
    if os.geteuid() != 0:
        raise UsageError("This needs root.", remedy="Run it with sudo.")
    sys.stdout.flush()
    os.execv(updater, [str(updater), *(arguments or ("--help",)), *(["--json"] if as_json else [])])  # noqa: S606 - root's own file

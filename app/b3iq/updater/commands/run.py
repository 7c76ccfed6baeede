"""`run`: what the unit does, for its timer and for what the node asked."""

from __future__ import annotations

from pathlib import Path

import click

from b3iq.updater import decision, gates, spool, upgrade
from b3iq.updater.commands import common, common_machine
from b3iq.updater.decision import Question
from b3iq.updater.progress import Progress


@click.command()
@common.options
def run(root_directory: Path, as_json: bool) -> None:
    """Serve the node's request if there is one; otherwise look, and install if it is automatic.

    The unit b3iq-update.service calls it. That nothing is installed because a gate is closed is
    no failure; a repository that is refused is.
    """
    del as_json
    settings = decision.settings(root_directory)
    verb = spool.take(Question(root_directory, settings).paths.update_spool)
    if verb == "rollback":
        common_machine.show(common_machine.go_back(root_directory), as_json=False)
        return
    common_machine.finish_interrupted(root_directory)
    question = Question(root_directory, settings, asked=verb == "apply")
    with common.decided(question) as made:
        common.show_gates(made.gates)
        if verb == "check" or not gates.may_begin(made.gates, at_once=False):
            return
        outcome = upgrade.upgrade(question, made, Progress(silent=False), at_once=False)
        common_machine.insist(outcome)

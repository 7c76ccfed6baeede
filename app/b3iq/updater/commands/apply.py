"""`apply`: pass the gates, then carry out the update."""

from __future__ import annotations

import json
from pathlib import Path

import click

from b3iq.updater import decision, upgrade
from b3iq.updater.commands import common, common_machine
from b3iq.updater.decision import Question
from b3iq.updater.progress import Progress


@click.command()
@click.option("--now", is_flag=True, help="Do not wait for delay, wave, window or answers.")
@click.option("--retry", is_flag=True, help="Try a release again that did not work here.")
@common.from_bundle
@common.options
def apply(now: bool, retry: bool, bundle: bool, root_directory: Path, as_json: bool) -> None:
    """Try what the channel stands at, if every gate lets it through; keep it if it works.

    A gate that is waiting can be passed over with --now, one that failed cannot. Where there is
    nothing newer, nothing is done and the exit status is 0.
    """
    question = Question(
        root_directory,
        decision.settings(root_directory),
        from_bundle=bundle,
        asked=True,
        retry=retry,
    )
    common_machine.finish_interrupted(root_directory)
    with common.decided(question) as made:
        found = common.summary(made)
        if not found["newer"]:
            found["changed"] = False
            _say(found, as_json, "There is nothing newer than what runs here.")
            return
        outcome = upgrade.upgrade(question, made, Progress(silent=as_json), at_once=now)
        common_machine.insist(outcome)
        found["changed"] = outcome is not None
        _say(found, as_json, f"Release {found['version']} runs, and passed its checks.")


def _say(found: dict[str, object], as_json: bool, words: str) -> None:
    if as_json:
        click.echo(json.dumps(found))
    else:
        common.terminal().print(words, soft_wrap=True)

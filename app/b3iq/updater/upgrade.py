"""From a decision to an installed release: the one place where an update begins."""

from __future__ import annotations

from b3iq.updater import announce, apply, fsops, gates
from b3iq.updater import floors as floors_
from b3iq.updater.decision import BUNDLE, Decision, Question, request
from b3iq.updater.progress import Progress
from b3iq.updater.refusals import GatesClosed


def upgrade(question: Question, made: Decision, progress: Progress, *, at_once: bool) -> None:
    """Install what was decided about; to be called while the decision holds the lock.

    Args:
        at_once: pass over the gates that are only waiting.

    Raises:
        GatesClosed: nothing was begun.
        Refused: nothing was switched.
    """
    if not gates.may_begin(made.gates, at_once=at_once):
        closed = [gate.reason for gate in made.gates if gate.result != "passed"]
        raise GatesClosed(
            " ".join(closed), remedy="`b3iq update explain` shows every gate and what to do."
        )
    asked, paths = request(question), question.paths
    group = apply.check_group(question.settings.model_group)
    job = apply.Job(asked.repository, made.release, paths, group, progress)
    apply.apply(job, made.steps)
    manifest = made.release.manifest
    floors_.write(asked.floors_file, floors_.raised_sequence(made.floors, manifest))
    with fsops.named_failures():
        # What it held is installed now; a site keeps its bundles itself.
        fsops.remove(paths.updater_state / BUNDLE)
    outcome = f"Release {manifest.version} was installed."
    announce.write(paths, question.settings, made.gates, made.release, outcome)

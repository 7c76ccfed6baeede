"""From a decision to an installed release: the one place where an update begins."""

from __future__ import annotations

from b3iq.updater import announce, apply, fsops, gates, transaction
from b3iq.updater.decision import BUNDLE, Decision, Question, request
from b3iq.updater.phases import Outcome
from b3iq.updater.progress import Progress
from b3iq.updater.refusals import GatesClosed


def upgrade(
    question: Question, made: Decision, progress: Progress, *, at_once: bool
) -> Outcome | None:
    """Try what was decided about; to be called while the decision holds the lock.

    Args:
        at_once: pass over the gates that are only waiting.

    Returns:
        How the trial ended; None where the release runs already.

    Raises:
        GatesClosed: nothing was begun.
        Refused: nothing was switched.
    """
    if not gates.may_begin(made.gates, at_once=at_once):
        closed = [gate.reason for gate in made.gates if gate.result != "passed"]
        raise GatesClosed(
            " ".join(closed), remedy="`b3iq update explain` shows every gate and what to do."
        )
    paths = question.paths
    job = apply.Job(
        request(question).repository,
        made.release,
        paths,
        apply.check_group(question.settings.model_group),
        progress,
        park_models=True,
    )
    outcome = transaction.apply(job, made.steps, retry_known_bad=question.retry)
    with fsops.named_failures():
        # What it held was tried; a site keeps its bundles itself.
        fsops.remove(paths.updater_state / BUNDLE)
    announce.write(paths, question.settings, made.gates, made.release, outcome)
    return outcome

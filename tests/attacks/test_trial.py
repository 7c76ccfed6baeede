"""A release that does not work is left again, and the one before serves as it did."""

from __future__ import annotations

import json
from typing import Any

import pytest

from b3iq.updater import journal, status
from b3iq.updater.main import main
from tests.attacks.conftest import Machine
from tests.attacks.node import offer
from tests.attacks.simulator import Simulator


def _try(machine: Machine, simulator: Simulator, *options: str) -> tuple[int, dict[str, Any]]:
    return machine.install(simulator, simulator.trusted_root, "--trial", *options)


def _sequence(machine: Machine) -> int:
    return int(json.loads(machine.floors.read_bytes())["sequence"])


def _state(machine: Machine) -> Any:
    return journal.read(status.rooted(machine.root))


def _model(machine: Machine) -> bytes:
    return (machine.root / "var/lib/b3iq/models/b3iq-tiny/manifest.json").read_bytes()


def test_a_release_that_works_is_committed_and_can_be_left_again(
    running: Machine, simulator: Simulator
) -> None:
    before = _model(running)
    offer(simulator, "1.1.0", 2, "well", "good day")
    status_, answer = _try(running, simulator)
    assert (status_, answer["outcome"]["result"]) == (0, "committed")
    assert (running.version(), _sequence(running)) == ("1.1.0", 2)
    assert _model(running) != before
    assert main(["rollback", "--json", "--root-directory", str(running.root)]) == 0
    assert (running.version(), _sequence(running)) == ("1.0.0", 2)
    assert _model(running) == before


@pytest.mark.parametrize("says", ["wrong", "silent"])
def test_a_release_that_answers_wrongly_or_not_at_all_is_left_and_not_tried_again(
    running: Machine, simulator: Simulator, says: str
) -> None:
    before = _model(running)
    offer(simulator, "1.1.0", 2, says, "good day")
    assert _try(running, simulator)[1]["refused"]["code"] == "trial_failed"
    assert (running.version(), _sequence(running)) == ("1.0.0", 1)
    assert _model(running) == before
    assert (running.floors.parent / "last-failure.log").read_text() == "the last words\n"
    assert _try(running, simulator)[1]["refused"]["code"] == "known_bad"
    again = _try(running, simulator, "--retry-known-bad")[1]
    assert again["refused"]["code"] == "trial_failed"
    offer(simulator, "1.2.0", 3, "well", "good day")
    assert _try(running, simulator)[1]["outcome"]["result"] == "committed"


def test_a_damaged_state_keeps_the_release_that_runs(
    running: Machine, simulator: Simulator
) -> None:
    (running.floors.parent / "state.json").write_text("{")
    offer(simulator, "1.1.0", 2, "well", "good day")
    assert _try(running, simulator)[1]["refused"]["code"] == "state_unreadable"
    assert running.version() == "1.0.0"

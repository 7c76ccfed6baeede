"""What the timer and the owner's page may cause: a trial, and a way back."""

from __future__ import annotations

import pytest

from tests.attacks.conftest import Machine
from tests.attacks.node import Node, offer
from tests.attacks.simulator import Simulator


def ask(machine: Machine, verb: str) -> None:
    spool = machine.root / "var/lib/b3iq/update-spool"
    spool.mkdir(exist_ok=True)
    (spool / verb).touch()


def test_an_update_that_does_not_work_is_left_told_and_held_back_by_a_gate(
    running: Machine, simulator: Simulator
) -> None:
    offer(simulator, "1.1.0", 2, "wrong", "good day")
    node = Node(running, simulator)
    status, answer = node.run("apply")
    assert (status, answer["refused"]["code"]) == (1, "trial_failed")
    assert running.version() == "1.0.0"
    assert "did not work" in node.told()["outcome"]
    gates = {gate["id"]: gate for gate in node.run("explain")[1]}
    assert gates["known-bad"]["result"] == "failed"
    assert node.run("apply", "--now")[1]["refused"]["code"] == "gates_closed"
    assert node.run("apply", "--retry")[1]["refused"]["code"] == "trial_failed"


def test_what_the_owner_asks_for_is_done_once(running: Machine, simulator: Simulator) -> None:
    offer(simulator, "1.1.0", 2, "well", "good day")
    node = Node(running, simulator)
    assert node.say("run") == 0
    assert running.version() == "1.0.0", "nobody asked, and it is not automatic"
    ask(running, "apply")
    assert node.say("run") == 0
    assert running.version() == "1.1.0"
    assert node.told()["rollback_to"]["version"] == "1.0.0"
    ask(running, "rollback")
    assert node.say("run") == 0
    assert running.version() == "1.0.0"
    assert node.told()["installed"]["version"] == "1.0.0"
    assert node.say("run") == 0
    assert running.version() == "1.0.0", "neither the request nor the release comes back"


@pytest.mark.parametrize("asked", [False, True])
def test_the_release_that_an_operator_left_does_not_come_back_by_itself(
    running: Machine, simulator: Simulator, asked: bool
) -> None:
    offer(simulator, "1.1.0", 2, "well", "good day")
    node = Node(running, simulator, automatic=True)
    assert node.say("run") == 0
    assert running.version() == "1.1.0"
    assert node.run("rollback")[0] == 0
    if asked:
        ask(running, "apply")
    assert node.say("run") == 0
    assert running.version() == "1.0.0"

"""Attacks on metadata: each refused by name, with nothing installed."""

from __future__ import annotations

import json
import random
from collections.abc import Callable

import pytest

from tests.attacks.conftest import Machine
from tests.attacks.parts import Release
from tests.attacks.simulator import Simulator


def test_a_well_signed_release_installs(machine: Machine, simulator: Simulator) -> None:
    status, answer = machine.install(simulator, simulator.trusted_root)
    assert (status, answer["changed"], answer["version"]) == (0, True, "1.0.0")
    assert machine.version() == "1.0.0"


def _tamper_with_the_timestamp(adversary: Simulator) -> None:
    raw = json.loads(adversary.files["metadata/timestamp.json"])
    raw["signed"]["version"] = 99
    adversary.files["metadata/timestamp.json"] = json.dumps(raw).encode()


def _tamper_with_a_delegated_role(adversary: Simulator) -> None:
    name = f"metadata/{adversary.roles['releases'].version}.releases.json"
    adversary.files[name] = adversary.files[name].replace(b'"sha256"', b'"sha255"')


def _expire_the_timestamp(adversary: Simulator) -> None:
    adversary.timestamp.expires = adversary.in_days(-1)
    adversary.publish_timestamp()


def _expire_the_snapshot(adversary: Simulator) -> None:
    adversary.snapshot.expires = adversary.in_days(-1)
    adversary.publish_snapshot()


def _expire_a_delegated_role(adversary: Simulator) -> None:
    adversary.roles["releases"].expires = adversary.in_days(-1)
    adversary.publish()


def _expire_the_root(adversary: Simulator) -> None:
    adversary.root.expires = adversary.in_days(-1)
    adversary.root.version += 1
    adversary.publish_root()


def _sign_targets_below_the_threshold(adversary: Simulator) -> None:
    adversary.omit_signatures["targets"] = 1
    adversary.roles["targets"].expires = adversary.in_days(20)
    adversary.publish()


def _sign_a_new_root_below_the_threshold(adversary: Simulator) -> None:
    adversary.omit_signatures["root"] = 1
    adversary.root.version += 1
    adversary.publish_root()


def _replace_root_keys_without_the_old_ones(adversary: Simulator) -> None:
    adversary.rotate("root")
    adversary.publish_root()


def _skip_a_root_version(adversary: Simulator) -> None:
    adversary.root.version = 3
    adversary.publish_root()
    adversary.files["metadata/2.root.json"] = adversary.files.pop("metadata/3.root.json")


def _count_one_signature_twice(adversary: Simulator) -> None:
    adversary.omit_signatures["targets"] = 1
    adversary.roles["targets"].version += 1
    raw = json.loads(adversary.signed("targets", adversary.roles["targets"]))
    raw["signatures"] *= 2
    name = f"metadata/{adversary.roles['targets'].version}.targets.json"
    adversary.files[name] = json.dumps(raw).encode()
    version = adversary.roles["targets"].version
    adversary.snapshot.meta["targets.json"] = adversary.describe("targets", version)
    adversary.publish_snapshot()


def _mix_a_former_role_into_a_new_snapshot(adversary: Simulator) -> None:
    adversary.offer(Release("1.1.0", 2))
    adversary.publish()
    former = adversary.history[0]["metadata/1.releases.json"]
    adversary.files["metadata/2.releases.json"] = former


def _mix_a_former_role_without_digests(adversary: Simulator) -> None:
    _mix_a_former_role_into_a_new_snapshot(adversary)
    adversary.snapshot.meta["releases.json"].hashes = None
    adversary.snapshot.meta["releases.json"].length = None
    adversary.publish_snapshot()


def _mix_a_former_snapshot_with_a_new_timestamp(adversary: Simulator) -> None:
    adversary.publish_snapshot()
    adversary.files["metadata/2.snapshot.json"] = adversary.files["metadata/1.snapshot.json"]


def _leave_a_delegated_role_out_of_the_snapshot(adversary: Simulator) -> None:
    del adversary.snapshot.meta["models.json"]
    adversary.publish_snapshot()


def _serve_an_endless_timestamp(adversary: Simulator) -> None:
    adversary.files["metadata/timestamp.json"] += b" " * 100_000


def _serve_an_endless_root(adversary: Simulator) -> None:
    adversary.files["metadata/2.root.json"] = b" " * 1_000_000


def _serve_an_endless_role(adversary: Simulator) -> None:
    adversary.files["metadata/1.releases.json"] += b" " * 100_000


def _serve_no_metadata(adversary: Simulator) -> None:
    del adversary.files["metadata/timestamp.json"]


def _serve_garbage(adversary: Simulator) -> None:
    adversary.files["metadata/timestamp.json"] = b"<html>captive portal</html>"


def _sign_without_sha256(adversary: Simulator) -> None:
    target = adversary.roles["channels"].targets["channels/stable.json"]
    target.hashes = {"sha512": "0" * 128}
    adversary.publish()


ATTACKS: dict[str, tuple[Callable[[Simulator], None], str]] = {
    "a tampered timestamp": (_tamper_with_the_timestamp, "signature_threshold"),
    "a tampered delegated role": (_tamper_with_a_delegated_role, "metadata_mismatch"),
    "an expired timestamp": (_expire_the_timestamp, "metadata_expired"),
    "an expired snapshot": (_expire_the_snapshot, "metadata_expired"),
    "an expired delegated role": (_expire_a_delegated_role, "metadata_expired"),
    "an expired root": (_expire_the_root, "metadata_expired"),
    "targets below the threshold": (_sign_targets_below_the_threshold, "signature_threshold"),
    "a root below the threshold": (_sign_a_new_root_below_the_threshold, "signature_threshold"),
    "root keys replaced alone": (_replace_root_keys_without_the_old_ones, "signature_threshold"),
    "a gap in the root chain": (_skip_a_root_version, "metadata_mismatch"),
    "one signature counted twice": (_count_one_signature_twice, "metadata_malformed"),
    "a former role mixed in": (_mix_a_former_role_into_a_new_snapshot, "metadata_mismatch"),
    "a former role, no digests": (_mix_a_former_role_without_digests, "metadata_mismatch"),
    "a former snapshot mixed in": (
        _mix_a_former_snapshot_with_a_new_timestamp,
        "metadata_mismatch",
    ),
    "an endless timestamp": (_serve_an_endless_timestamp, "too_large"),
    "an endless root": (_serve_an_endless_root, "too_large"),
    "an endless role": (_serve_an_endless_role, "too_large"),
    "missing metadata": (_serve_no_metadata, "repository_unreachable"),
    "garbage": (_serve_garbage, "metadata_malformed"),
    "a target without sha256": (_sign_without_sha256, "metadata_malformed"),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_is_refused_on_a_fresh_machine(machine: Machine, simulator: Simulator, attack: str) -> None:
    change, reason = ATTACKS[attack]
    change(simulator)
    assert machine.refused(simulator, simulator.trusted_root) == reason
    assert machine.version() is None
    assert not machine.floors.exists()


@pytest.mark.parametrize("attack", ATTACKS)
def test_is_refused_where_a_release_runs(
    installed: Machine, simulator: Simulator, attack: str
) -> None:
    floors = installed.floors.read_bytes()
    change, reason = ATTACKS[attack]
    change(simulator)
    assert installed.refused(simulator, simulator.trusted_root) == reason
    assert installed.version() == "1.0.0"
    assert installed.floors.read_bytes() == floors


def test_a_role_left_out_of_the_snapshot_is_refused(machine: Machine, simulator: Simulator) -> None:
    complete = simulator.write(machine.work / "complete")
    _leave_a_delegated_role_out_of_the_snapshot(simulator)
    assert machine.refused(simulator, simulator.trusted_root) == "metadata_mismatch"
    assert machine.install(complete, simulator.trusted_root)[0] == 0
    assert machine.refused(simulator, simulator.trusted_root) == "rollback"


def test_another_publishers_root_is_refused_by_name(machine: Machine, simulator: Simulator) -> None:
    assert machine.refused(simulator, Simulator().trusted_root) == "wrong_root"


def test_another_root_is_refused_where_one_is_trusted(
    installed: Machine,
) -> None:
    stranger = Simulator()
    stranger.offer(Release("9.0.0", 9))
    stranger.publish()
    assert installed.refused(stranger, stranger.trusted_root) == "trusted_root_changed"


def test_an_operator_can_accept_another_publisher(installed: Machine) -> None:
    stranger = Simulator()
    stranger.offer(Release("9.0.0", 9))
    stranger.publish()
    status, _ = installed.install(stranger, stranger.trusted_root, "--reset-floors")
    assert (status, installed.version()) == (0, "9.0.0")


def test_a_rotated_root_is_followed_and_either_end_may_be_pinned(
    installed: Machine, simulator: Simulator
) -> None:
    simulator.rotate("root")
    simulator.offer(Release("1.1.0", 2))
    simulator.publish()
    assert installed.install(simulator, simulator.trusted_root)[0] == 0
    newest = simulator.files["metadata/2.root.json"]
    assert installed.install(simulator, newest)[0] == 0
    assert installed.version() == "1.1.0"


def test_no_changed_byte_of_metadata_escapes_as_another_error(
    machine: Machine, simulator: Simulator
) -> None:
    """Changed bytes are refused by name; the few that mean the same (hex case) install."""
    dice = random.Random(20260101)
    good = dict(simulator.files)
    names = sorted(name for name in good if name.startswith("metadata/"))
    refused = 0
    for _ in range(60):
        name = dice.choice(names)
        content = bytearray(good[name])
        content[dice.randrange(len(content))] = dice.randrange(256)
        simulator.files = good | {name: bytes(content)}
        status, answer = machine.install(simulator, simulator.trusted_root)
        refused += status == 1
        assert status == 1 or answer["version"] == "1.0.0"
    assert refused > 40


@pytest.mark.parametrize("pinned", ["timestamp", "garbage", "root with one signature"])
def test_a_pinned_file_that_is_no_signed_root_is_refused(
    machine: Machine, simulator: Simulator, pinned: str
) -> None:
    simulator.omit_signatures["root"] = 1
    raw = {
        "timestamp": simulator.files["metadata/timestamp.json"],
        "garbage": b"not json",
        "root with one signature": simulator.signed("root", simulator.root),
    }[pinned]
    assert machine.refused(simulator, raw) == "wrong_root"

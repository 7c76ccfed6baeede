"""Rollback: what this machine has seen stays seen, whatever happens to its other files."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from tuf.api.metadata import MetaFile

from tests.attacks.conftest import Machine
from tests.attacks.parts import Release, node_layer
from tests.attacks.simulator import Simulator


@pytest.fixture
def updated(installed: Machine, simulator: Simulator) -> Machine:
    """The machine after an update to 1.1.0."""
    simulator.offer(Release("1.1.0", 2))
    simulator.publish()
    assert installed.install(simulator, simulator.trusted_root)[0] == 0
    return installed


def _replay_the_former_repository(adversary: Simulator) -> None:
    adversary.files = dict(adversary.history[0])


def _replay_the_former_timestamp(adversary: Simulator) -> None:
    adversary.files["metadata/timestamp.json"] = adversary.history[0]["metadata/timestamp.json"]


def _sign_a_timestamp_for_the_former_snapshot(adversary: Simulator) -> None:
    adversary.timestamp.snapshot_meta = adversary.describe("snapshot", 1)
    adversary.publish_timestamp()


def _sign_a_snapshot_of_a_former_role(adversary: Simulator) -> None:
    adversary.snapshot.meta["releases.json"] = adversary.describe("releases", 1)
    adversary.publish_snapshot()


def _sign_a_snapshot_without_a_role(adversary: Simulator) -> None:
    del adversary.snapshot.meta["models.json"]
    adversary.publish_snapshot()


def _point_the_channel_back(adversary: Simulator) -> None:
    adversary.offer(Release())
    adversary.publish()


ROLLBACKS: dict[str, Callable[[Simulator], None]] = {
    "the whole former repository": _replay_the_former_repository,
    "the former timestamp": _replay_the_former_timestamp,
    "a new timestamp of the former snapshot": _sign_a_timestamp_for_the_former_snapshot,
    "a new snapshot of a former role": _sign_a_snapshot_of_a_former_role,
    "a new snapshot without a role": _sign_a_snapshot_without_a_role,
    "a channel that points back": _point_the_channel_back,
}


@pytest.mark.parametrize("attack", ROLLBACKS)
def test_a_rollback_is_refused(updated: Machine, simulator: Simulator, attack: str) -> None:
    ROLLBACKS[attack](simulator)
    assert updated.refused(simulator, simulator.trusted_root) == "rollback"
    assert updated.version() == "1.1.0"


@pytest.mark.parametrize("attack", ROLLBACKS)
def test_a_rollback_is_refused_after_every_other_state_file_was_truncated(
    updated: Machine, simulator: Simulator, attack: str
) -> None:
    for path in (updated.root / "var/lib/b3iq/updater").rglob("*"):
        if path.is_file() and path != updated.floors:
            path.write_bytes(b"")
    ROLLBACKS[attack](simulator)
    assert updated.refused(simulator, simulator.trusted_root) == "rollback"


def test_only_the_floors_remember(updated: Machine) -> None:
    """No metadata cache exists whose loss or truncation could matter."""
    names = {path.name for path in (updated.root / "var/lib/b3iq/updater").rglob("*")}
    assert names == {"floors.json", "lock", "state.json"}


@pytest.mark.parametrize("damage", [None, b"", b"{", b'{"format": "other"}'])
def test_missing_or_damaged_floors_refuse_every_update(
    updated: Machine, simulator: Simulator, damage: bytes | None
) -> None:
    if damage is None:
        updated.floors.unlink()
    else:
        updated.floors.write_bytes(damage)
    assert updated.refused(simulator, simulator.trusted_root) == "floors_unreadable"
    status, _ = updated.install(simulator, simulator.trusted_root, "--reset-floors")
    assert status == 0


def test_a_refused_repository_raises_no_floor(updated: Machine, simulator: Simulator) -> None:
    before = updated.floors.read_bytes()
    simulator.roles["releases"].expires = simulator.in_days(-1)
    simulator.publish()
    assert updated.refused(simulator, simulator.trusted_root) == "metadata_expired"
    assert updated.floors.read_bytes() == before


def test_a_clock_that_went_back_is_refused_and_named(
    updated: Machine, simulator: Simulator
) -> None:
    floors = json.loads(updated.floors.read_bytes())
    floors["latest_time"] = (datetime.now(UTC) + timedelta(days=400)).isoformat()
    updated.floors.write_text(json.dumps(floors))
    assert updated.refused(simulator, simulator.trusted_root) == "clock_behind"


def test_a_former_root_is_refused_after_a_rotation(updated: Machine, simulator: Simulator) -> None:
    before = dict(simulator.files)
    simulator.rotate("timestamp")
    simulator.publish()
    assert updated.install(simulator, simulator.trusted_root)[0] == 0
    simulator.files = before
    assert updated.refused(simulator, simulator.trusted_root) == "rollback"


def test_a_fast_forwarded_timestamp_is_recovered_by_new_keys(
    updated: Machine, simulator: Simulator
) -> None:
    """Whoever stole the timestamp key can raise its version; a new root takes that back."""
    simulator.timestamp.version = 2_000_000
    simulator.publish_timestamp()
    assert updated.install(simulator, simulator.trusted_root)[0] == 0
    simulator.timestamp.version = 3
    simulator.publish_timestamp()
    assert updated.refused(simulator, simulator.trusted_root) == "rollback"
    simulator.rotate("timestamp")
    simulator.publish_timestamp()
    assert updated.install(simulator, simulator.trusted_root)[0] == 0
    assert json.loads(updated.floors.read_bytes())["roles"]["timestamp"]["version"] == 5


def test_revoked_root_keys_sign_no_other_chain(installed: Machine, simulator: Simulator) -> None:
    """Their holder forks off at the root of former trust, with versions as high as needed."""
    thief = copy.deepcopy(simulator)
    simulator.rotate("root")
    simulator.offer(Release("1.1.0", 2))
    simulator.publish()
    assert installed.install(simulator, simulator.trusted_root)[0] == 0
    thief.rotate("root")
    thief.offer(Release("6.6.6", 6))
    for _ in range(3):
        thief.publish()
    assert installed.refused(thief, simulator.trusted_root) == "trusted_root_changed"
    assert installed.version() == "1.1.0"


@pytest.mark.parametrize("name", ["root", "timestamp", "nobody"])
def test_a_stolen_snapshot_key_raises_no_floor_of_another_role(
    updated: Machine, simulator: Simulator, name: str
) -> None:
    simulator.snapshot.meta[f"{name}.json"] = MetaFile(2_000_000)
    simulator.publish_snapshot()
    assert updated.install(simulator, simulator.trusted_root)[0] == 0
    del simulator.snapshot.meta[f"{name}.json"]
    simulator.rotate("snapshot")
    simulator.publish_snapshot()
    assert updated.install(simulator, simulator.trusted_root)[0] == 0


def test_a_stolen_snapshot_key_hides_no_replay_of_a_timestamp(
    updated: Machine, simulator: Simulator
) -> None:
    simulator.snapshot.meta["timestamp.json"] = MetaFile(2_000_000)
    simulator.publish_snapshot()
    former = simulator.files["metadata/timestamp.json"]
    simulator.publish_timestamp()
    assert updated.install(simulator, simulator.trusted_root)[0] == 0
    simulator.files["metadata/timestamp.json"] = former
    assert updated.refused(simulator, simulator.trusted_root) == "rollback"


def test_a_refused_timestamp_is_not_remembered(updated: Machine, simulator: Simulator) -> None:
    """CVE-2025-2888 of tough: its version would shut out the publisher's own next ones."""
    honest = dict(simulator.files)
    simulator.timestamp.version = 2_000_000
    simulator.timestamp.snapshot_meta = simulator.describe("snapshot", 1)
    simulator.publish_timestamp()
    assert updated.refused(simulator, simulator.trusted_root) == "rollback"
    simulator.files = honest
    assert updated.install(simulator, simulator.trusted_root)[0] == 0


def test_a_version_is_never_replaced_by_another_content(
    installed: Machine, simulator: Simulator
) -> None:
    simulator.offer(Release("1.0.0", 2, node=node_layer(b"other bytes")))
    simulator.publish()
    assert installed.refused(simulator, simulator.trusted_root) == "version_reused"

"""Floors never decrease, whatever a repository shows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from b3iq.updater import floors
from b3iq.updater.floors import RoleFloor, Seen
from b3iq.updater.refusals import ClockBehind, FloorsUnreadable, Rollback

ROOT = "0" * 64
NOW = datetime(2026, 1, 1, tzinfo=UTC)
ROLES = ("root", "timestamp", "snapshot", "targets", "releases")


def _seen(*versions: int, keys: str = "k") -> Seen:
    return Seen(
        (ROOT,),
        {
            role: RoleFloor(version=version, keyids=(keys,))
            for role, version in zip(ROLES, versions, strict=True)
        },
    )


versions = st.tuples(*(st.integers(1, 4) for _ in ROLES))


@given(st.lists(versions, min_size=1, max_size=12))
def test_accepted_versions_never_decrease(offers: list[tuple[int, ...]]) -> None:
    state = floors.first(ROOT)
    best = (1, 1, 1, 1, 1)
    for offer in offers:
        seen = _seen(*offer)
        if any(now < before for now, before in zip(offer, best, strict=True)):
            with pytest.raises(Rollback):
                floors.check_after(state, seen)
        else:
            floors.check_after(state, seen)
            state = floors.raised(state, seen, NOW)
            best = offer
    assert state.roles == {} or tuple(state.roles[r].version for r in ROLES) == best


def test_a_lower_version_with_new_keys_needs_a_newer_delegator() -> None:
    state = floors.raised(floors.first(ROOT), _seen(1, 9, 1, 1, 9), NOW)
    with pytest.raises(Rollback):
        floors.check_after(state, _seen(1, 1, 1, 1, 9, keys="new"))
    floors.check_after(state, _seen(2, 1, 1, 2, 1, keys="new"))
    with pytest.raises(Rollback):
        floors.check_after(state, _seen(2, 1, 1, 2, 1))


def test_the_root_itself_has_no_recovery() -> None:
    state = floors.raised(floors.first(ROOT), _seen(5, 1, 1, 1, 1), NOW)
    with pytest.raises(Rollback):
        floors.check_after(state, _seen(4, 1, 1, 9, 1, keys="new"))


def test_the_clock_floor_holds_to_the_second_and_across_time_zones() -> None:
    state = floors.raised(floors.first(ROOT), _seen(1, 1, 1, 1, 1), NOW)
    floors.check_before(state, ROOT, NOW)
    with pytest.raises(ClockBehind):
        floors.check_before(state, ROOT, NOW - timedelta(seconds=1))


def test_floors_survive_writing_and_reading(tmp_path: Path) -> None:
    state = floors.raised(floors.first(ROOT), _seen(1, 2, 3, 4, 5), NOW)
    path = tmp_path / "state/floors.json"
    floors.write(path, state)
    assert floors.read(path, required=True) == state
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_missing_floors_are_an_error_only_where_a_release_is_installed(tmp_path: Path) -> None:
    assert floors.read(tmp_path / "none", required=False) is None
    with pytest.raises(FloorsUnreadable, match="gone"):
        floors.read(tmp_path / "none", required=True)

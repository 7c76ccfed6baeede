"""The disk reserve: whole while there is room, given up step by step when there is none."""

from __future__ import annotations

import stat

import pytest

from b3iq.store.errors import DiskRefused
from b3iq.store.reserve import STEP, Reserve
from tests.disks import small_disk


@pytest.fixture
def disk(tmp_path):
    with small_disk(tmp_path / "disk", 8) as disk:
        yield disk


@pytest.fixture
def path(disk):
    return disk.path / "reserve"


def test_it_is_allocated_and_private(path):
    Reserve(path, 4 * STEP).fill()
    assert path.stat().st_size == 4 * STEP
    assert path.stat().st_blocks * 512 >= 4 * STEP
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_nothing_is_given_up_while_there_is_room(path):
    reserve = Reserve(path, 4 * STEP)
    reserve.fill()
    reserve.give()
    assert path.stat().st_size == 4 * STEP


def test_a_full_disk_gets_a_step_at_a_time_until_nothing_is_left(disk, path):
    reserve = Reserve(path, 3 * STEP)
    reserve.fill()
    left = []
    for _ in range(4):
        disk.fill()
        reserve.give()
        left.append(path.stat().st_size // STEP)
    assert left == [2, 1, 0, 0]


def test_a_reserve_that_does_not_fit_is_a_refusal_and_one_that_fits_again_is_filled(disk, path):
    reserve = Reserve(path, 4 * STEP)
    disk.fill()
    with pytest.raises(DiskRefused, match="is full"):
        reserve.fill()
    disk.free()
    reserve.fill()
    assert path.stat().st_size == 4 * STEP


def test_a_link_in_its_place_is_not_followed(disk, path):
    target = disk.path / "elsewhere"
    target.write_bytes(b"precious")
    path.symlink_to(target)
    with pytest.raises(DiskRefused):
        Reserve(path, STEP).fill()
    assert target.read_bytes() == b"precious"

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from b3iq.node.streams import StreamSlots, TooManyStreams


def test_the_cap_holds_under_a_burst():
    slots = StreamSlots(5)
    together = threading.Barrier(40)

    def take(_: int) -> int:
        together.wait()
        try:
            slots.take()
        except TooManyStreams:
            return 0
        return 1

    with ThreadPoolExecutor(40) as pool:
        assert sum(pool.map(take, range(40))) == 5
    assert slots.active == 5


def test_a_slot_given_back_twice_counts_once():
    slots = StreamSlots(2)
    first, _second = slots.take(), slots.take()
    first.release()
    first.release()
    slots.take()
    with pytest.raises(TooManyStreams) as caught:
        slots.take()
    assert caught.value.status == 429
    assert caught.value.retry_after_s >= 1


def test_a_slot_is_given_back_when_its_block_fails():
    slots = StreamSlots(1)
    with pytest.raises(ZeroDivisionError), slots.take():
        raise ZeroDivisionError
    assert slots.active == 0


def test_revoking_a_key_cuts_its_streams_alone():
    slots = StreamSlots(4)
    mine, other, also_mine = slots.take("k1"), slots.take("k2"), slots.take("k1")
    assert slots.cut("k1") == 2
    assert [slot.cut for slot in (mine, other, also_mine)] == ["revoked", None, "revoked"]


def test_a_key_revoked_between_its_check_and_its_slot_is_cut_too():
    slots = StreamSlots(2)
    slots.cut("k")
    assert slots.take("k").cut == "revoked"
    assert slots.take("other").cut is None


def test_the_first_reason_to_end_stands():
    slots = StreamSlots(1)
    slot = slots.take("k")
    slots.cut("k")
    assert slots.cut_all() == 1
    assert slot.cut == "revoked"

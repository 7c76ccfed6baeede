"""Slots under contention: whose turn it is, as clients of several keys ask and ask again."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from b3iq.node.fairness import PATIENCE_S
from b3iq.node.streams import StreamSlots, TooManyOfTheKey, TooManyStreams


class Crowd:
    """Slots on a clock that the test moves, and who holds them."""

    def __init__(self, limit: int) -> None:
        self.now = 0.0
        self.slots = StreamSlots(limit, clock=lambda: self.now)
        self.held: dict[str, list] = {}

    def ask(self, key: str) -> bool:
        try:
            slot = self.slots.take(key)
        except TooManyStreams:
            return False
        self.held.setdefault(key, []).append(slot)
        return True

    def end(self, key: str) -> None:
        self.held[key].pop(0).release()

    def holds(self, key: str) -> int:
        return len(self.held.get(key, ()))


def test_while_nobody_else_asks_one_key_may_hold_every_slot():
    crowd = Crowd(4)
    assert [crowd.ask("greedy") for _ in range(5)] == [True] * 4 + [False]


def test_a_key_that_holds_everything_gets_no_slot_back_before_the_other_had_its_turn():
    crowd = Crowd(4)
    for _ in range(4):
        crowd.ask("greedy")
    assert not crowd.ask("modest")
    crowd.end("greedy")
    assert not crowd.ask("greedy")  # however fast it asks
    assert crowd.ask("modest")


def test_answers_that_never_end_do_not_gather_more_than_the_share_of_their_key():
    crowd = Crowd(8)
    for _ in range(100):
        crowd.now += 0.1
        for key in ["brief"] * 5 + ["endless"] * 5:
            crowd.ask(key)
        while crowd.holds("brief"):
            crowd.end("brief")
    assert crowd.holds("endless") == 4


def test_more_keys_than_slots_each_get_their_turn():
    """The one that asks a hundred times as often gets no more than the others."""
    crowd = Crowd(2)
    quiet = [f"quiet {number}" for number in range(5)]
    served: Counter[str] = Counter()
    for _ in range(300):
        crowd.now += 0.1
        for key in ["loud"] * 20 + quiet:
            served[key] += crowd.ask(key)
        for key in [key for key, slots in crowd.held.items() if slots]:
            crowd.end(key)
    assert min(served[key] for key in quiet) >= served["loud"] - 2
    assert sum(served.values()) >= 300 * 2 - 5


def test_a_place_in_line_is_lost_by_who_does_not_come_back():
    crowd = Crowd(1)
    crowd.ask("holder")
    crowd.ask("gone")
    crowd.end("holder")
    assert not crowd.ask("third")
    crowd.now += PATIENCE_S
    assert crowd.ask("third")


def test_a_cap_of_a_key_is_never_exceeded_under_a_burst_of_two_hundred():
    slots = StreamSlots(64)
    together = threading.Barrier(200)
    running, most = 0, 0
    lock = threading.Lock()

    def ask(number: int) -> str:
        nonlocal running, most
        capped = number % 2 == 0
        together.wait()
        try:
            slot = slots.take("capped" if capped else "free", cap=3 if capped else None)
        except TooManyOfTheKey:
            return "capped"
        except TooManyStreams:
            return "full"
        with slot:
            if capped:
                with lock:
                    running += 1
                    most = max(most, running)
                threading.Event().wait(0.01)
                with lock:
                    running -= 1
        return "served"

    with ThreadPoolExecutor(200) as pool:
        ended = Counter(pool.map(ask, range(200)))
    assert 1 <= most <= 3
    assert ended["capped"] > 0
    assert slots.active == 0


def test_a_key_at_its_own_cap_stands_in_nobodys_way():
    crowd = Crowd(2)
    crowd.slots.take("capped", cap=1)
    with pytest.raises(TooManyOfTheKey) as caught:
        crowd.slots.take("capped", cap=1)
    assert (caught.value.status, caught.value.retry_after_s) == (429, 1)
    assert crowd.ask("other")


def test_rotating_cuts_the_streams_of_the_old_secret_alone():
    slots = StreamSlots(4)
    old, new, other = slots.take("k"), slots.take("k", generation=1), slots.take("other")
    assert slots.cut("k", before=1) == 1
    assert [slot.cut for slot in (old, new, other)] == ["revoked", None, None]


def test_an_old_secret_checked_just_before_the_rotation_gets_nothing_just_after():
    slots = StreamSlots(4)
    slots.cut("k", before=1)
    assert slots.take("k").cut == "revoked"
    assert slots.take("k", generation=1).cut is None
    slots.cut("k")
    assert slots.take("k", generation=9).cut == "revoked"

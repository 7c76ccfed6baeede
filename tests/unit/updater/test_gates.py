"""Every gate in every state, and no update while one of them is closed."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from b3iq.updater import gates, waves, window
from b3iq.updater.gates import Facts, Space
from b3iq.updater.manifest import Channel, DataSchema, Wave
from b3iq.updater.settings import UpdateSettings, Window
from b3iq.updates.status import Release

NOW = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)  # a Wednesday
NIGHT = Window(opens="22:00", closes="04:00", time_zone="UTC")
HALF = Wave(starts_at=NOW + timedelta(hours=1), fraction=0.5)
FINE = Facts(
    now=NOW,
    settings=UpdateSettings(),
    clock_floor=NOW - timedelta(days=1),
    installed=Release(version="1.0.0", sequence=1),
    offered=Release(version="2.0.0", sequence=2),
    known_bad="",
    unmet=(),
    data_schema=5,
    readable=DataSchema(lowest=1, highest=6),
    spaces=(Space("releases", 100, 200),),
    first_seen=NOW,
    waves=(),
    place=0.25,
    streams=0,
    busy_since=None,
    asked=True,
)


def result(facts: Facts, gate: str) -> str:
    return next(found.result for found in gates.judge(facts) if found.id == gate)


def set_to(**settings: object) -> UpdateSettings:
    return UpdateSettings.model_validate(settings)


CLOSED = {
    "the clock went back": ("clock", "failed", {"clock_floor": NOW + timedelta(seconds=1)}),
    "nothing is newer": ("newer", "failed", {"offered": Release(version="1.0.0", sequence=1)}),
    "an older release": ("newer", "failed", {"offered": Release(version="0.9.0", sequence=0)}),
    "pinned to another": ("pin", "failed", {"settings": set_to(pin="1.5.0")}),
    "it did not work here": ("known-bad", "failed", {"known_bad": "no answer"}),
    "no driver": ("requirements", "failed", {"unmet": ("NVIDIA's driver is not loaded.",)}),
    "data too new": ("data-schema", "failed", {"data_schema": 7}),
    "data too old": ("data-schema", "failed", {"data_schema": 0}),
    "one byte too few": ("disk-space", "failed", {"spaces": (Space("releases", 100, 99),)}),
    "one full disk of two": (
        "disk-space", "failed", {"spaces": (Space("a", 1, 2), Space("models", 2, 1))}
    ),
    "the delay runs": ("delay", "waiting", {"settings": set_to(delay_hours=0.001)}),
    "its wave is later": ("wave", "waiting", {"waves": (HALF,)}),
    "its wave is not announced": ("wave", "waiting", {"waves": (HALF,), "place": 0.5}),
    "the window is shut": ("window", "waiting", {"settings": set_to(window=NIGHT)}),
    "it is answering": ("busy", "waiting", {"streams": 1}),
    "nobody asked": ("asked", "failed", {"asked": False}),
}  # fmt: skip


def test_an_update_that_nothing_is_against_may_begin():
    judged = gates.judge(FINE)
    assert {gate.result for gate in judged} == {"passed"}
    assert gates.may_begin(judged, at_once=False)


@pytest.mark.parametrize("case", CLOSED)
def test_one_closed_gate_holds_the_update_back_and_no_other_gate_changes(case):
    gate, wanted, changes = CLOSED[case]
    judged = gates.judge(replace(FINE, **changes))
    assert {found.id: found.result for found in judged if found.result != "passed"} == {
        gate: wanted
    }
    assert not gates.may_begin(judged, at_once=False)


@pytest.mark.parametrize("case", CLOSED)
def test_an_operator_in_a_hurry_passes_over_what_waits_and_over_no_failure(case):
    _, wanted, changes = CLOSED[case]
    judged = gates.judge(replace(FINE, **changes))
    assert gates.may_begin(judged, at_once=True) is (wanted == "waiting")


@pytest.mark.parametrize("case", CLOSED)
def test_a_closed_gate_says_why_and_a_failed_one_what_to_do(case):
    gate, wanted, changes = CLOSED[case]
    [closed] = [g for g in gates.judge(replace(FINE, **changes)) if g.result != "passed"]
    assert closed.reason.endswith((".", "answer"))
    assert (wanted == "failed" and gate != "newer") is bool(closed.remedy)


def test_answers_hold_an_update_back_no_longer_than_the_bound():
    busy = replace(FINE, streams=3, settings=set_to(busy_limit_minutes=30))
    since = NOW - timedelta(minutes=30)
    assert result(replace(busy, busy_since=since + timedelta(seconds=1)), "busy") == "waiting"
    assert result(replace(busy, busy_since=since), "busy") == "passed"


def test_the_last_moment_of_a_delay_is_not_its_end():
    late = replace(FINE, settings=set_to(delay_hours=24))
    begun = NOW - timedelta(hours=24)
    assert result(replace(late, first_seen=begun + timedelta(seconds=1)), "delay") == "waiting"
    assert result(replace(late, first_seen=begun), "delay") == "passed"


WINDOWS = {
    # Wall clock in Berlin, an hour or two ahead of UTC.
    "before it opens": ("2026-03-04T21:59:59+01:00", False),
    "as it opens": ("2026-03-04T22:00:00+01:00", True),
    "after midnight": ("2026-03-05T03:59:59+01:00", True),
    "as it closes": ("2026-03-05T04:00:00+01:00", False),
    "the night of a day that is not named": ("2026-03-05T23:00:00+01:00", False),
    "the morning after such a night": ("2026-03-06T02:00:00+01:00", False),
    "in summer time": ("2026-07-08T20:30:00+00:00", True),
    "the same hour in winter": ("2026-12-02T20:30:00+00:00", False),
}


@pytest.mark.parametrize("case", WINDOWS)
def test_a_window_is_of_the_wall_clock_and_belongs_to_the_day_on_which_it_opens(case):
    at, is_open = WINDOWS[case]
    wednesday = Window(days=("wed",), opens="22:00", closes="04:00", time_zone="Europe/Berlin")
    assert window.is_open(wednesday, datetime.fromisoformat(at)) is is_open


def test_a_shut_window_says_when_it_opens_next_also_a_week_ahead():
    weekly = Window(days=("wed",), opens="06:00", closes="07:00", time_zone="UTC")
    assert window.next_opening(weekly, NOW) == datetime(2026, 3, 11, 6, 0, tzinfo=UTC)
    assert window.next_opening(NIGHT, NOW) == datetime(2026, 3, 4, 22, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    "wrong",
    [
        {"window": {"opens": 1320, "closes": "04:00", "time_zone": "UTC"}},
        {"window": {"opens": "22:00", "closes": "22:00", "time_zone": "UTC"}},
        {"window": {"opens": "22:00", "closes": "04:00"}},
        {"window": {"opens": "22:00", "closes": "04:00", "time_zone": "Middle/Earth"}},
        {"window": {"days": [], "opens": "22:00", "closes": "04:00", "time_zone": "UTC"}},
        {"window": {"days": ["wed", "wed"], "opens": "1:00", "closes": "4:00", "time_zone": "UTC"}},
        {"delay_hours": -1},
        {"channel": "../stable"},
        {"automatik": True},
    ],
    ids=str,
)
def test_a_setting_that_cannot_be_meant_is_refused(wrong):
    with pytest.raises(ValidationError):
        UpdateSettings.model_validate(wrong)


def test_updates_are_not_automatic_unless_the_operator_says_so():
    assert UpdateSettings().automatic is False


def test_places_are_stable_spread_evenly_and_differ_between_releases():
    ids = [f"{number:032x}" for number in range(4000)]
    first = [waves.place(one, "1.0.0") for one in ids]
    assert first == [waves.place(one, "1.0.0") for one in ids]
    assert all(0 <= place < 1 for place in first)
    for fraction in (0.05, 0.25, 0.5):
        assert abs(sum(place < fraction for place in first) / len(first) - fraction) < 0.03
    both = sum(
        place < 0.1 and waves.place(one, "2.0.0") < 0.1
        for one, place in zip(ids, first, strict=True)
    )
    assert both < 100  # 40 of 4000 if the two are independent; 400 if they are the same


def test_a_wave_that_shrinks_or_goes_back_in_time_is_no_channel():
    pointer = {"format": "b3iq-channel-v1", "channel": "stable", "version": "1.0.0", "sequence": 1}
    good = {"starts_at": "2026-03-04T12:00:00Z", "fraction": 0.5}
    later = {"starts_at": "2026-03-05T12:00:00Z", "fraction": 1.0}
    assert Channel.model_validate_json(_json(pointer | {"waves": [good, later]}))
    for wrong in ([later, good], [good, later | {"fraction": 0.5}], [good | {"fraction": 0.0}]):
        with pytest.raises(ValidationError):
            Channel.model_validate_json(_json(pointer | {"waves": wrong}))


def _json(value: object) -> str:
    return json.dumps(value)

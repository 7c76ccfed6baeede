"""Whether an update happens now, and why: a pure function from facts to an ordered list of gates.

Every gate is answered every time, so that the whole list explains a decision. A gate that is
`waiting` passes by itself in time and may be passed over by whoever asks for the update now;
one that has `failed` needs somebody to do something.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from b3iq.updater import waves, window
from b3iq.updater.manifest import DataSchema, Wave
from b3iq.updater.settings import UpdateSettings
from b3iq.updates.status import GateResult, Release, Result

Gate = GateResult


@dataclass(frozen=True)
class Space:
    """What a release needs on one file system, and what is free there, in bytes."""

    what: str
    needed: int
    free: int


@dataclass(frozen=True)
class Facts:
    """Everything that a decision rests on, read before it.

    Attributes:
        now: this machine's clock.
        clock_floor: the latest time at which a verification succeeded here.
        installed: None where nothing is.
        offered: what the channel stands at, verified.
        known_bad: why the offered release is not tried again; empty if it is not known bad.
        unmet: what the release requires and this machine lacks, in sentences.
        data_schema: revision of the node's data; None where there is none yet.
        readable: which revisions the offered release reads.
        first_seen: when this machine first saw the offered release.
        place: of this node in the line of waves.
        streams: answers that the node is making.
        busy_since: since when it has been making answers while an update wanted to begin.
        asked: somebody asked for this update, or the operator lets the timer install.
    """

    now: datetime
    settings: UpdateSettings
    clock_floor: datetime | None
    installed: Release | None
    offered: Release
    known_bad: str
    unmet: tuple[str, ...]
    data_schema: int | None
    readable: DataSchema
    spaces: tuple[Space, ...]
    first_seen: datetime
    waves: tuple[Wave, ...]
    place: float
    streams: int
    busy_since: datetime | None
    asked: bool


def judge(facts: Facts) -> tuple[Gate, ...]:
    """Every gate, in the order in which a person would ask."""
    return tuple(gate(facts) for gate in _GATES)


def may_begin(gates: tuple[Gate, ...], *, at_once: bool) -> bool:
    """Whether an update may begin.

    Args:
        at_once: the operator does not want to wait for what passes by itself.
    """
    fine = {"passed", "waiting"} if at_once else {"passed"}
    return all(gate.result in fine for gate in gates)


def refused(code: str, reason: str, remedy: str) -> tuple[Gate, ...]:
    """The list where the repository itself is refused: nothing more can be said of a release."""
    name = "clock" if code == "clock_behind" else "verified"
    return (_gate(name, "failed", f"{reason} ({code})", remedy),)


def _gate(name: str, result: Result, reason: str, remedy: str = "") -> Gate:
    return Gate(id=name, result=result, reason=reason, remedy=remedy)


def _verified(facts: Facts) -> Gate:
    offered = facts.offered
    return _gate(
        "verified", "passed", f"Release {offered.version} is signed by the keys trusted here."
    )


def _clock(facts: Facts) -> Gate:
    floor = facts.clock_floor
    if floor is not None and facts.now < floor:
        return _gate(
            "clock",
            "failed",
            f"The clock is behind {_moment(floor)}, when a release was last verified.",
            "Set the clock.",
        )
    return _gate("clock", "passed", "The clock has not gone back.")


def _newer(facts: Facts) -> Gate:
    here, offered = facts.installed, facts.offered
    if here is None or offered.sequence > here.sequence:
        return _gate("newer", "passed", f"Release {offered.version} is newer than what runs here.")
    return _gate("newer", "failed", f"Release {here.version} runs here; there is nothing newer.")


def _pin(facts: Facts) -> Gate:
    pin, offered = facts.settings.pin, facts.offered
    if pin and pin != offered.version:
        return _gate(
            "pin",
            "failed",
            f"This node is pinned to {pin}, and the channel stands at {offered.version}.",
            "Change `pin` in update.toml, or leave it out.",
        )
    return _gate("pin", "passed", "No pin is in the way.")


def _known_bad(facts: Facts) -> Gate:
    if facts.known_bad:
        return _gate(
            "known-bad",
            "failed",
            f"Release {facts.offered.version} was tried here and did not work: {facts.known_bad}",
            "Wait for a newer release, or try it again with `b3iq update apply --retry`.",
        )
    return _gate("known-bad", "passed", "The release has not failed here.")


def _requirements(facts: Facts) -> Gate:
    if facts.unmet:
        return _gate(
            "requirements",
            "failed",
            " ".join(facts.unmet),
            "Give the machine what is missing, or stay at the release that runs.",
        )
    return _gate("requirements", "passed", "The machine has what the release requires.")


def _data_schema(facts: Facts) -> Gate:
    here, readable = facts.data_schema, facts.readable
    if here is not None and not readable.lowest <= here <= readable.highest:
        return _gate(
            "data-schema",
            "failed",
            f"The node's data has revision {here}; the release reads {readable.lowest} to "
            f"{readable.highest}.",
            "Install a release in between first, or a newer one.",
        )
    return _gate("data-schema", "passed", "The release reads the node's data.")


def _disk_space(facts: Facts) -> Gate:
    short = [space for space in facts.spaces if space.free < space.needed]
    if short:
        told = ", ".join(
            f"{space.what}: {space.needed >> 20} MiB needed, {space.free >> 20} MiB free"
            for space in short
        )
        return _gate("disk-space", "failed", f"There is too little space ({told}).", "Free some.")
    return _gate("disk-space", "passed", "There is room for the release beside the one that runs.")


def _delay(facts: Facts) -> Gate:
    over = facts.first_seen + timedelta(hours=facts.settings.delay_hours)
    if facts.now < over:
        return _gate(
            "delay", "waiting", f"Seen first at {_moment(facts.first_seen)}; waits until "
            f"{_moment(over)}."
        )  # fmt: skip
    return _gate("delay", "passed", "The delay is over.")


def _wave(facts: Facts) -> Gate:
    if not facts.waves:
        return _gate("wave", "passed", "The release is for every node at once.")
    opens = waves.opens_at(facts.waves, facts.place)
    if opens is None:
        return _gate("wave", "waiting", "The publisher has not announced this node's wave yet.")
    if facts.now < opens:
        return _gate("wave", "waiting", f"This node's wave begins at {_moment(opens)}.")
    return _gate("wave", "passed", "This node's wave has begun.")


def _window(facts: Facts) -> Gate:
    wanted = facts.settings.window
    if wanted is None:
        return _gate("window", "passed", "Updates may begin at any time.")
    if window.is_open(wanted, facts.now):
        return _gate("window", "passed", "The maintenance window is open.")
    opens = window.next_opening(wanted, facts.now)
    return _gate(
        "window",
        "waiting",
        f"The maintenance window opens on {opens:%a %d %b, %H:%M} ({wanted.time_zone}).",
    )


def _busy(facts: Facts) -> Gate:
    limit = timedelta(minutes=facts.settings.busy_limit_minutes)
    if facts.streams == 0:
        return _gate("busy", "passed", "The node is making no answer.")
    since = facts.busy_since or facts.now
    if facts.now - since >= limit:
        return _gate(
            "busy", "passed", f"The node makes {facts.streams} answers, and has held the update "
            "back for long enough; they get their time to finish."
        )  # fmt: skip
    return _gate(
        "busy",
        "waiting",
        f"The node is making {facts.streams} answers; at {_moment(since + limit)} the update "
        "begins nevertheless.",
    )


def _asked(facts: Facts) -> Gate:
    if facts.asked:
        return _gate("asked", "passed", "The update was asked for, or is automatic.")
    return _gate(
        "asked",
        "failed",
        "Nobody asked for the update, and updates are not automatic.",
        "Run `b3iq update apply`, or set `automatic` in update.toml.",
    )


def _moment(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M %Z}"


_GATES: tuple[Callable[[Facts], Gate], ...] = (
    _verified,
    _clock,
    _newer,
    _pin,
    _known_bad,
    _requirements,
    _data_schema,
    _disk_space,
    _delay,
    _wave,
    _window,
    _busy,
    _asked,
)

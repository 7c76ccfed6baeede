"""The update state machine: states and events, no file, no clock, no process.

    idle → intent → trial → committed → idle
             └────────┴──→ rolling_back → idle

`intent` says what will run before a link is moved; `trial` counts a try before each start;
`committed` and `rolling_back` are verdicts, and what is left of them is done again until it is
done. Evolution law: as for the release manifest; a former updater may read what this one wrote.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from b3iq.errors import B3iqError
from b3iq.schemas import Closed, Sha256
from b3iq.updater.refusals import DataTooNew, KnownBadRelease

STATE_FORMAT: Literal["b3iq-updater-state-v1"] = "b3iq-updater-state-v1"
TRIES = 2
_HISTORY_LIMIT = 50
_KNOWN_BAD_LIMIT = 50

Phase = Literal["idle", "intent", "trial", "committed", "rolling_back"]
Result = Literal["committed", "rolled_back", "kept"]


class IllegalMove(B3iqError):
    """An event that the phase does not know: a fault of the updater itself."""

    code = "illegal_move"
    title = "The update is not in the phase that this needs"


class Release(Closed):
    """A release by its signed manifest, and the data schemas that it can live with."""

    version: str
    sequence: Annotated[int, Field(ge=1)]
    manifest_sha256: Sha256
    data_lowest: Annotated[int, Field(ge=0)]
    data_highest: Annotated[int, Field(ge=0)]


class KnownBad(Closed):
    """A release that did not work here (I11)."""

    release: Release
    reason: str


class Outcome(Closed):
    """How one update ended; `kept` is a release that failed and could not be left (I14)."""

    at: AwareDatetime
    release: Release
    result: Result
    reason: str


class State(Closed):
    """`state.json`.

    Attributes:
        current: the release that was committed last; None before the first.
        former: the rollback target.
        candidate: the release on its way, in every phase but `idle`.
        tries_left: starts that the candidate still has (I7).
        data_floor: the data may need a release that knows this schema (I14).
        reason: why `rolling_back`.
        history: oldest first.
    """

    format: Literal["b3iq-updater-state-v1"] = STATE_FORMAT
    phase: Phase = "idle"
    current: Release | None = None
    former: Release | None = None
    candidate: Release | None = None
    tries_left: Annotated[int, Field(ge=0, le=TRIES)] = 0
    data_floor: Annotated[int, Field(ge=0)] = 0
    reason: str = ""
    known_bad: tuple[KnownBad, ...] = ()
    history: tuple[Outcome, ...] = ()


def known_bad(state: State, candidate: Release) -> KnownBad | None:
    """The failure that keeps this release from being tried again (I11); None where none does."""
    if state.current is not None and candidate.manifest_sha256 == state.current.manifest_sha256:
        return None
    return next((b for b in state.known_bad if candidate.sequence <= b.release.sequence), None)


def refuse_known_bad(state: State, candidate: Release) -> None:
    """A release that failed here waits for one of a higher sequence (I11).

    Raises:
        KnownBadRelease: this one is not newer than a failed one.
    """
    if bad := known_bad(state, candidate):
        raise KnownBadRelease(
            f"Release {bad.release.version} did not work here: {bad.reason}",
            remedy="Wait for a newer release, or try it again with --retry-known-bad.",
        )


def begin(state: State, candidate: Release) -> State:
    """Decide for a candidate; its trees are complete by now.

    Raises:
        DataTooNew: the data are newer than what it knows (I14).
    """
    _expect(state, "idle")
    if candidate.data_highest < state.data_floor:
        raise DataTooNew(
            f"The data need a release that knows schema {state.data_floor}; "
            f"{candidate.version} knows {candidate.data_highest}.",
            remedy="Stay at the release that runs, or restore a backup of before the update.",
        )
    return state.model_copy(
        update={"phase": "intent", "candidate": candidate, "tries_left": TRIES, "reason": ""}
    )


def started(state: State) -> State:
    """Use up one try; to be durable before the candidate starts (I7)."""
    candidate = _expect(state, "intent", "trial")
    if state.tries_left < 1:
        raise IllegalMove("The candidate has no try left.")
    return state.model_copy(
        update={
            "phase": "trial",
            "tries_left": state.tries_left - 1,
            "data_floor": max(state.data_floor, candidate.data_lowest),
        }
    )


def passed(state: State) -> State:
    """The candidate passed its checks."""
    _expect(state, "trial")
    return state.model_copy(update={"phase": "committed"})


def failed(state: State, reason: str) -> State:
    """The candidate did not work here; remembered, so that it is not tried for ever."""
    candidate = _expect(state, "intent", "trial")
    return state.model_copy(
        update={
            "phase": "rolling_back",
            "reason": reason,
            "known_bad": _remember(state, candidate, reason),
        }
    )


def may_return(state: State) -> bool:
    """Whether the release before can live with what the candidate may have written (I14)."""
    return state.current is not None and state.current.data_highest >= state.data_floor


def settled(state: State, at: AwareDatetime) -> State:
    """What the verdict asks for is done."""
    candidate = _expect(state, "committed", "rolling_back")
    current, former, bad = state.current, state.former, state.known_bad
    result: Result = "rolled_back"
    reason = state.reason
    if state.phase == "committed" or not may_return(state):
        result = "committed" if state.phase == "committed" else "kept"
        if current != candidate:
            former = current
        # Going back on purpose is a verdict too: a timer must not undo it.
        if result == "committed" and current and candidate.sequence < current.sequence:
            reason = f"An operator went back from {current.version}."
            bad = _remember(state, current, reason)
        current = candidate
    outcome = Outcome(at=at, release=candidate, result=result, reason=reason)
    return state.model_copy(
        update={
            "phase": "idle",
            "current": current,
            "former": former,
            "candidate": None,
            "tries_left": 0,
            "reason": "",
            "known_bad": bad
            if result != "committed"
            else tuple(item for item in bad if item.release != candidate),
            "history": (*state.history, outcome)[-_HISTORY_LIMIT:],
        }
    )


def _remember(state: State, release: Release, reason: str) -> tuple[KnownBad, ...]:
    others = tuple(item for item in state.known_bad if item.release != release)
    return (*others, KnownBad(release=release, reason=reason))[-_KNOWN_BAD_LIMIT:]


def _expect(state: State, *phases: Phase) -> Release:
    if state.phase not in phases:
        raise IllegalMove(f"The update is in phase {state.phase}, not {' or '.join(phases)}.")
    if state.candidate is None and state.phase != "idle":
        raise IllegalMove("The state names no candidate.")
    return state.candidate  # type: ignore[return-value] # None in `idle` alone, where nobody asks

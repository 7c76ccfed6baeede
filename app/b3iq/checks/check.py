"""What a check is, and what it may find."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from b3iq.checks.host import Host


class Level(Enum):
    """How a check ended."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"
    # The check itself could not look; nothing is known about what it examines.
    COULD_NOT_RUN = "could_not_run"


@dataclass(frozen=True)
class Finding:
    """What a check found: one or two sentences, and what to do where something is wrong."""

    level: Level
    said: str
    remedy: str = ""


@dataclass(frozen=True)
class Check:
    """A known fault and how to look for it.

    Attributes:
        id: stable, kebab-case; programs compare it, so it is never renamed or reused.
        title: the promise that holds where the check is ok.
        examines: what is looked at.
        look: the examination. It reads the host and changes nothing.
        needs: ids of checks without which this one says nothing of its own.
        host_only: makes sense only where the install playbook ran, not under `b3iq serve`.
    """

    id: str
    title: str
    examines: str
    look: Callable[[Host], Finding]
    needs: tuple[str, ...] = ()
    host_only: bool = False


def ok(said: str) -> Finding:
    """The fault is not there."""
    return Finding(Level.OK, said)


def warning(said: str, remedy: str) -> Finding:
    """Worth knowing; the node's promises hold."""
    return Finding(Level.WARNING, said, remedy)


def failed(said: str, remedy: str) -> Finding:
    """The fault is there."""
    return Finding(Level.FAILED, said, remedy)


def skipped(said: str) -> Finding:
    """There is nothing here that the check could examine."""
    return Finding(Level.SKIPPED, said)


def judged(faults: list[str], *, fine: str, remedy: str) -> Finding:
    """Failed with the faults, of which the first few are named, or ok where there are none."""
    if not faults:
        return ok(fine)
    more = f"; and {len(faults) - 3} more" if len(faults) > 3 else ""
    return failed(f"{'; '.join(faults[:3])}{more}.", remedy)

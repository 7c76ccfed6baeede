"""Runs checks and sums them up; what a check does not expect is a finding, never a traceback."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from b3iq.checks.check import Check, Finding, Level, skipped
from b3iq.checks.host import Host
from b3iq.errors import B3iqError, UsageError

ONLY_ON_A_HOST = skipped("Only an installed host has this.")
_BAD = frozenset({Level.FAILED, Level.COULD_NOT_RUN})


@dataclass(frozen=True)
class Result:
    """A check and what it found."""

    check: Check
    finding: Finding


@dataclass(frozen=True)
class Report:
    """All results, in the order of the registry."""

    results: tuple[Result, ...]

    def count(self, level: Level) -> int:
        """How many checks ended so."""
        return sum(result.finding.level is level for result in self.results)

    @property
    def exit_code(self) -> int:
        """1 with a failed check; else 2 where one could not run; else 0."""
        if self.count(Level.FAILED):
            return 1
        return 2 if self.count(Level.COULD_NOT_RUN) else 0

    def to_json(self) -> dict[str, Any]:
        """What `b3iq doctor --json` prints; fields are added, never renamed or removed."""
        return {
            "exit_code": self.exit_code,
            "counts": {level.value: self.count(level) for level in Level},
            "checks": [
                {
                    "id": result.check.id,
                    "title": result.check.title,
                    "result": result.finding.level.value,
                    "finding": result.finding.said,
                    "remedy": result.finding.remedy,
                }
                for result in self.results
            ],
        }


def select(registry: Sequence[Check], ids: Sequence[str]) -> tuple[Check, ...]:
    """The checks with these ids, all of them where none is named.

    Raises:
        UsageError: there is no such check.
    """
    known = {check.id for check in registry}
    for unknown in (wanted for wanted in ids if wanted not in known):
        raise UsageError(f"There is no check {unknown}.", remedy="See `b3iq doctor --list`.")
    return tuple(check for check in registry if not ids or check.id in ids)


def run(registry: Sequence[Check], wanted: Sequence[Check], host: Host) -> Report:
    """Run the wanted checks, and silently those that they need."""
    checks = {check.id: check for check in registry}
    found: dict[str, Finding] = {}
    blocked: set[str] = set()

    def look(check: Check) -> Finding:
        if check.id not in found:
            for need in check.needs:
                if look(checks[need]).level in _BAD or need in blocked:
                    blocked.add(check.id)
                    found[check.id] = skipped(f"Says nothing before {need} is ok.")
                    break
            else:
                found[check.id] = examine(check, host)
        return found[check.id]

    return Report(tuple(Result(check, look(check)) for check in wanted))


def examine(check: Check, host: Host) -> Finding:
    """One check by itself; what it says is safe to print.

    Names of files and words of services are in it, and a service that was taken over could
    choose them to command the terminal of root.
    """
    finding = _look(check, host)
    return Finding(finding.level, _printable(finding.said), _printable(finding.remedy))


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _look(check: Check, host: Host) -> Finding:
    if check.host_only and not host.installed:
        return ONLY_ON_A_HOST
    try:
        return check.look(host)
    except B3iqError as error:
        return Finding(Level.COULD_NOT_RUN, error.detail, error.remedy)
    except Exception as error:  # noqa: BLE001 - a fault of a check must not hide the others
        return Finding(
            Level.COULD_NOT_RUN,
            f"The check itself failed ({type(error).__name__}).",
            "Look at the host by hand, and report this check as a fault of b3iq.",
        )

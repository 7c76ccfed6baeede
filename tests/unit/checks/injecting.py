"""Faults by the check that they are for; the modules that inject them register here."""

from __future__ import annotations

from collections.abc import Callable

from tests.unit.checks.fake_host import FakeHost

Fault = Callable[[FakeHost], object]

FAULTS: list[tuple[str, Fault]] = []


def trips(check: str) -> Callable[[Fault], Fault]:
    """Register a fault as one that a check is for."""

    def register(fault: Fault) -> Fault:
        FAULTS.append((check, fault))
        return fault

    return register

"""Counts refusals, so that a flood of them leaves a handful of events and no others.

Kept in memory: the one process that opens the database is the one that counts, and a refusal
that is not recorded costs the disk nothing. A restart counts anew.
"""

from __future__ import annotations

import threading

from b3iq.audit.actions import Actor, Refusal

# Clients that are told apart on one day, for each action; all others are one more.
CLIENTS_TOLD_APART = 32
OTHERS = "others"


class Tally:
    """How often each action was refused to each client on one day (UTC)."""

    def __init__(self) -> None:
        self._day = ""
        self._counts: dict[Refusal, dict[str, int]] = {}
        self._counting = threading.Lock()

    def count(self, action: Refusal, actor: Actor, day: str) -> tuple[Actor, int]:
        """Count one more; who it was counted for, and how many there are of that now."""
        with self._counting:
            if day != self._day:
                self._day = day
                self._counts = {}
            counts = self._counts.setdefault(action, {})
            if actor.client not in counts and len(counts) >= CLIENTS_TOLD_APART:
                actor = Actor(actor.kind, OTHERS)
            counts[actor.client] = counts.get(actor.client, 0) + 1
            return actor, counts[actor.client]


def is_told(count: int) -> bool:
    """Whether this one is recorded: the 1st, 2nd, 4th, 8th …"""
    return count & (count - 1) == 0

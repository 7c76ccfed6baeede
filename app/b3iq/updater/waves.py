"""Signed waves: which part of all nodes may install a release from which moment on.

The channel pointer, which is signed, says how large a part. A node's place in the line follows
from a random number of its own and the release: nobody is told it, it identifies nobody, and
not always the same nodes go first.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime

from b3iq.updater.manifest import Wave

_SPAN = 1 << 64


def place(local_id: str, version: str) -> float:
    """This node's place in the line for a release: at least 0, less than 1."""
    raw = hashlib.sha256(f"b3iq-wave-v1\n{local_id}\n{version}".encode()).digest()
    # Divided as integers first: a float of all 64 bits could round up to 1.
    return (int.from_bytes(raw[:8], "big") * (1 << 53) // _SPAN) / (1 << 53)


def opens_at(waves: Sequence[Wave], mine: float) -> datetime | None:
    """When the wave of a place begins; None: in none of those announced.

    Args:
        waves: in their order; without any, the caller need not ask.
    """
    return next((wave.starts_at for wave in waves if mine < wave.fraction), None)

"""Step 7 of the ceremony: what expires when, and who must still sign what."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from release.ceremony.staging import Staging


def status(staging: Staging, now: datetime) -> list[dict[str, Any]]:
    """One row a role: version, expiry, seconds left, missing signatures, who may give them."""
    rows = []
    for role in staging.roles():
        signed = staging.read(role).signed
        lacking = staging.lacking(role)
        rows.append(
            {
                "role": role,
                "version": signed.version,
                "expires": f"{signed.expires:%Y-%m-%dT%H:%M:%SZ}",
                "expires_seconds": int((signed.expires - now).total_seconds()),
                "signatures_missing": lacking.count,
                "may_sign": list(lacking.owners),
            }
        )
    return rows


def metrics(rows: list[dict[str, Any]]) -> str:
    """The rows in Prometheus' text format; an expired role is below zero."""
    lines = ["# TYPE b3iq_repository_expires_seconds gauge"]
    lines += [
        f'b3iq_repository_expires_seconds{{role="{row["role"]}"}} {row["expires_seconds"]}'
        for row in rows
    ]
    lines.append("# TYPE b3iq_repository_signatures_missing gauge")
    lines += [
        f'b3iq_repository_signatures_missing{{role="{row["role"]}"}} {row["signatures_missing"]}'
        for row in rows
    ]
    return "\n".join(lines) + "\n"

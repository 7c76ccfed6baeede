"""`b3iq status`: what the node is doing."""

from __future__ import annotations

from typing import Any

import click
from rich.console import Console

from b3iq.cli import output
from b3iq.cli.client import AdminClient
from b3iq.paths import Paths


@click.command("status")
@output.json_option
@click.pass_obj
def status(paths: Paths) -> None:
    """Show what the node is doing."""
    answer = AdminClient(paths).get("/admin/status")

    def for_people(console: Console) -> None:
        facts = {
            "node": f"{answer['node_id']}, version {answer['version']}",
            "address": answer["address"],
            "lan": _lan(answer["lan"]),
            "owner": "claimed" if answer["claimed"] else "not claimed; run `b3iq setup-url`",
            "engine": f"{answer['engine']} ({answer['runtime_kind']})",
            "models": ", ".join(answer["models"]) or "none",
            "streams": f"{answer['streams']} of {answer['stream_limit']}",
            "receipts": str(answer["receipts"]),
            "audit": f"{answer['audit_events']} events"
            + ("" if answer["audit_intact"] else "; BROKEN, run `b3iq audit verify`"),
        }
        for name, value in facts.items():
            console.print(f"{name:<9} {value}", markup=False, soft_wrap=True)

    output.show(answer, for_people)


def _lan(on: dict[str, Any] | None) -> str:
    if on is None:
        return "off"
    return f"{' '.join(on['urls'])}, certificate {on['fingerprint_sha256']}"

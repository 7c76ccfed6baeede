"""`b3iq receipts`: the node's signed evidence of completed work."""

from __future__ import annotations

import base64
from typing import Any

import click
from rich.console import Console

from b3iq.cli import output
from b3iq.cli.client import AdminClient
from b3iq.paths import Paths
from b3iq.receipts.record import Receipt
from b3iq.receipts.verifier import verify_run


@click.command("receipts")
@click.option(
    "--limit",
    type=click.IntRange(1, 500),
    default=20,
    show_default=True,
    help="How many receipts, counted from the newest.",
)
@click.option("--verify", is_flag=True, help="Check hashes, signatures and links.")
@output.json_option
@click.pass_obj
def receipts(paths: Paths, limit: int, verify: bool) -> None:
    """List the last receipts, newest first.

    --verify trusts the public key that the node itself names; an auditor pins it.
    """
    answer = AdminClient(paths).get("/admin/receipts", limit=limit)
    if verify:
        key = base64.urlsafe_b64decode(answer["public_key_ed25519"] + "=")
        found = [Receipt.model_validate(item) for item in reversed(answer["data"])]
        answer["verified"] = verify_run(found, key)

    def for_people(console: Console) -> None:
        columns = ["no", "sealed", "status", "model", "in", "out", "hash"]
        output.table(console, columns, [_row(item) for item in answer["data"]])
        if verify:
            console.print(f"Verified: {answer['verified']} receipts in one unbroken run.")

    output.show(answer, for_people)


def _row(item: dict[str, Any]) -> list[str]:
    body = item["receipt"]
    return [
        str(body["sequence"]),
        body["sealed_at"],
        body["status"],
        body["model_id"],
        str(body["usage"]["prompt_tokens"]),
        str(body["usage"]["completion_tokens"]),
        item["receipt_hash"],
    ]

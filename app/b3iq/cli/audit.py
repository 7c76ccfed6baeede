"""`b3iq audit`: who changed what of the node's security, and proof that nobody changed that."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from b3iq.audit.errors import AuditRefused
from b3iq.audit.verifier import Verifier
from b3iq.cli import audit_source, output
from b3iq.cli.client import AdminClient
from b3iq.errors import UsageError
from b3iq.evidence import signing
from b3iq.paths import Paths


@click.group("audit")
def audit() -> None:
    """List, verify and export the audit log.

    The node records every change of its security in a chain of hashes, and signs how long the
    chain is in a checkpoint outside its database.
    """


@audit.command("list")
@click.option(
    "--limit",
    type=click.IntRange(1, 500),
    default=20,
    show_default=True,
    help="How many events, counted from the newest.",
)
@click.option("--before", type=click.IntRange(1), help="Only events before this number.")
@output.json_option
@click.pass_obj
def list_events(paths: Paths, limit: int, before: int | None) -> None:
    """List the last events, newest first."""
    query = {"limit": limit} | ({} if before is None else {"before": before})
    answer = AdminClient(paths).get("/admin/audit", **query)

    def for_people(console: Console) -> None:
        columns = ["no", "time (UTC)", "who", "action", "about"]
        output.table(console, columns, [_row(item) for item in answer["data"]])
        if answer["data"] and answer["data"][-1]["sequence"] > 1:
            console.print(f"Older ones: --before {answer['data'][-1]['sequence']}")

    output.show(answer, for_people)


@audit.command("verify")
@click.option(
    "--file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="An export to check, instead of the running node's log. No node is needed.",
)
@click.option(
    "--checkpoint",
    "checkpoints",
    multiple=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="A checkpoint kept elsewhere: an older export, a copy of the node's file, or a line of "
    "the journal. May be repeated.",
)
@click.option(
    "--public-key",
    metavar="KEY",
    help="The node's public key, as `b3iq audit verify --json` names it. Without it, the key "
    "that the node itself names is trusted.",
)
@output.json_option
@click.pass_obj
def verify(
    paths: Paths, file: Path | None, checkpoints: tuple[Path, ...], public_key: str | None
) -> None:
    """Check every event, the chain and the checkpoints.

    Finds an edit, a deletion, a reorder and a truncation, and exits with 1 at the first. A log
    that was cut together with its checkpoint is found by --checkpoint alone: keep some exports
    or journal lines on another machine.
    """
    if file is not None and public_key is None:
        raise UsageError(
            "An export does not vouch for itself.",
            remedy="Name the node's key with --public-key; `b3iq audit verify --json` on the "
            "node shows it.",
        )
    kept = [audit_source.read_checkpoint(path) for path in checkpoints]
    with audit_source.of_node(paths) if file is None else audit_source.of_file(file) as source:
        if source.fault:
            raise AuditRefused(source.fault)
        key = signing.public_bytes(public_key or source.public_key)
        verifier = Verifier([*kept, *source.checkpoints], key)
        for entry in source.entries():
            verifier.add(entry["event_hash"], entry["event"])
        verifier.finish()
    answer: dict[str, Any] = {
        "verified": verifier.size,
        "head_hash": verifier.head,
        "covered_by_checkpoint": verifier.covered,
        "public_key_ed25519": signing.public_text(key),
        "key_was_pinned": public_key is not None,
    }
    output.show(answer, lambda console: _tell(console, answer))


@audit.command("export")
@click.option(
    "--file",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="A new 0600 file: one JSON object a line, the checkpoint last.",
)
@output.json_option
@click.pass_obj
def export(paths: Paths, file: Path) -> None:
    """Write the whole log to a new file.

    For an auditor, or to be kept on another machine. The log is written as it is, right or
    wrong; `b3iq audit verify --file` judges it.
    """
    count = 0
    with output.new_secret_file(file) as out, audit_source.of_node(paths) as source:
        for entry in source.entries():
            out.write(json.dumps(entry) + "\n")
            count += 1
        for checkpoint in source.checkpoints:
            out.write(checkpoint.model_dump_json() + "\n")
    answer = {"file": str(file), "events": count, "public_key_ed25519": source.public_key}

    def for_people(console: Console) -> None:
        console.print(f"Wrote {count} events to {file}. Check them anywhere with:", markup=False)
        line = f"b3iq audit verify --file {file} --public-key={source.public_key}"
        console.print(line, soft_wrap=True, markup=False)

    output.show(answer, for_people)


@audit.command("accept")
@output.json_option
@click.pass_obj
def accept(paths: Paths) -> None:
    """Go on from a log that does not match its checkpoint.

    Export and look into it first. The node makes no checkpoint of such a log, so that the fault
    is not covered up; this records the fault in the log and lets checkpoints go on.
    """
    answer = AdminClient(paths).post("/admin/audit/accept")
    words = f"Accepted, and recorded as event {answer['sequence']}."
    output.show(answer, lambda console: console.print(words))


def _row(item: dict[str, Any]) -> list[str]:
    event = item["event"] if isinstance(item["event"], dict) else {}
    at = str(event.get("at", "unreadable"))[:19].replace("T", " ")
    details = event.get("details")
    facts = [f"{k}={v}" for k, v in details.items()] if isinstance(details, dict) else []
    about = [str(event["subject"])] if event.get("subject") else []
    who = f"{event.get('actor', '?')} {event.get('client', '')}".strip()
    return [str(item["sequence"]), at, who, str(event.get("action", "?")), " ".join(about + facts)]


def _tell(console: Console, answer: dict[str, Any]) -> None:
    console.print(f"Verified: {answer['verified']} events in one unbroken chain.")
    console.print(f"A signed checkpoint covers the first {answer['covered_by_checkpoint']}.")
    if not answer["key_was_pinned"]:
        console.print("The key is the one that the node itself names; pin it by --public-key.")
        console.print(f"key {answer['public_key_ed25519']}", soft_wrap=True, markup=False)

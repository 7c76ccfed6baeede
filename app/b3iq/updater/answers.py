"""What the verbs print: one JSON object for machines, a few lines for people."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from b3iq.errors import B3iqError
from b3iq.updater.export import archive_path
from b3iq.updater.trust import Verified


def release(verified: Verified, *, changed: bool) -> dict[str, Any]:
    """The answer of `verify`, `export` and `install`; documented in docs/release.md."""
    manifest = verified.manifest
    updater = manifest.layer("updater")
    return {
        "changed": changed,
        "version": manifest.version,
        "sequence": manifest.sequence,
        "channel": verified.channel.channel,
        "manifest_sha256": verified.manifest_sha256,
        "source_commit": manifest.source_commit,
        "source_dirty": manifest.source_dirty,
        "provenance": {
            "required": verified.provenance.required,
            "signer": verified.provenance.signer,
        },
        "layers": [
            {
                "name": layer.name,
                "target": layer.target,
                "sha256": layer.sha256,
                "length": layer.length,
                "install_path": layer.install_path,
            }
            for layer in manifest.layers
        ],
        "models": [
            {
                "name": model.name,
                "version": model.version,
                "target": model.target,
                "sha256": model.sha256,
                "length": model.length,
                "manifest_sha256": model.manifest_sha256,
            }
            for model in manifest.models
        ],
        "expires": {role: _stamp(when) for role, when in sorted(verified.expires.items())},
        "updater": {"archive": archive_path(updater), "install_path": updater.install_path},
    }


def show(answer: dict[str, Any], as_json: bool, headline: str) -> None:
    """Print an answer to standard output."""
    if as_json:
        click.echo(json.dumps(answer))
        return
    console = Console(emoji=False)
    if "version" not in answer:
        console.print("No release is installed.")
        return
    changed = {True: "", False: " (nothing changed)"}.get(answer.get("changed", True), "")
    console.print(f"{headline}: release {answer['version']}{changed}")
    table = Table(show_header=False, box=None)
    commit = answer["source_commit"][:12]
    table.add_row("source", f"{commit}{' with local changes' if answer['source_dirty'] else ''}")
    table.add_row("manifest", answer["manifest_sha256"])
    table.add_row("provenance", _provenance(answer["provenance"]))
    for layer in answer["layers"]:
        table.add_row(layer["name"], layer["install_path"])
    for model in answer["models"]:
        table.add_row("model", f"{model['name']} ({model['manifest_sha256'][:12]})")
    for role, when in sorted(answer.get("expires", {}).items(), key=lambda item: item[1])[:1]:
        table.add_row("expires first", f"{role}, {when}")
    for step in answer.get("steps", []):
        table.add_row("step", step)
    console.print(table)


def _provenance(told: dict[str, Any]) -> str:
    if not told["required"]:
        return "not required: only TUF vouches for this release"
    return told.get("signer") or "required"


def show_refusal(error: B3iqError, as_json: bool) -> None:
    """Print a refusal: named for machines on standard output, in words on standard error."""
    click.echo(f"Refused ({error.code}): {error.title}. {error.message}", err=True)
    if as_json:
        refused = {
            "code": error.code,
            "title": error.title,
            "detail": error.detail,
            "remedy": error.remedy,
        }
        click.echo(json.dumps({"changed": False, "refused": refused}))


def _stamp(when: datetime) -> str:
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

"""`b3iq keys`: local keys for inference clients."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click
from rich.console import Console

from b3iq.cli import output
from b3iq.cli.client import AdminClient
from b3iq.paths import Paths


@click.group("keys")
def keys() -> None:
    """Create, list and revoke local keys."""


@keys.command("create")
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    default=("inference",),
    show_default=True,
    help="What the key opens: inference, metrics; may be repeated.",
)
@click.option(
    "--expires-days",
    type=click.IntRange(1, 3650),
    help="Days until the key expires; without it, never.",
)
@click.option(
    "--file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the key to this new 0600 file instead of showing it.",
)
@output.json_option
@click.pass_obj
def create(
    paths: Paths, name: str, scopes: tuple[str, ...], expires_days: int | None, file: Path | None
) -> None:
    """Make a key. It is shown once, here, and kept only as a digest."""
    body: dict[str, Any] = {"name": name, "scopes": list(scopes)}
    if expires_days is not None:
        body["expires_at"] = (datetime.now(UTC) + timedelta(days=expires_days)).isoformat()
    with ExitStack() as stack:
        secret_file = None if file is None else stack.enter_context(output.new_secret_file(file))
        answer = AdminClient(paths).post("/admin/keys", body)
        if secret_file is not None:
            secret_file.write(answer.pop("secret") + "\n")
            answer["file"] = str(file)

    def for_people(console: Console) -> None:
        console.print(f"Key {answer['key']['key_id']}", end=": ")
        if file is not None:
            console.print(f"the secret is in {file}.")
            return
        console.print("this is the one time that it is shown.")
        console.print(answer["secret"], soft_wrap=True, markup=False)

    output.show(answer, for_people)


@keys.command("list")
@output.json_option
@click.pass_obj
def list_keys(paths: Paths) -> None:
    """List the keys, revoked ones too."""
    answer = AdminClient(paths).get("/admin/keys")
    rows = [
        [
            key["key_id"],
            key["name"],
            " ".join(key["scopes"]),
            _moment(key["created_at"]),
            _moment(key["last_used_at"]) if key["last_used_at"] else "never",
            _state(key),
        ]
        for key in answer["data"]
    ]
    columns = ["id", "name", "scopes", "created (UTC)", "last used (UTC)", "state"]
    output.show(answer, lambda console: output.table(console, columns, rows))


@keys.command("revoke")
@click.argument("key_id")
@output.json_option
@click.pass_obj
def revoke(paths: Paths, key_id: str) -> None:
    """End a key, from its next request on.

    Answers that are being streamed to it end within a second. Again changes nothing.
    """
    answer = AdminClient(paths).post(f"/admin/keys/{quote(key_id, safe='')}/revoke")
    output.show(answer, lambda console: console.print(f"Key {answer['key_id']} is revoked."))


def _moment(time: str) -> str:
    """A time of the API as 16 characters: the table of a few keys fits 80 columns."""
    return datetime.fromisoformat(time).astimezone(UTC).strftime("%Y-%m-%d %H:%M")


def _state(key: dict[str, Any]) -> str:
    if key["revoked_at"]:
        return "revoked"
    expires = key["expires_at"]
    if expires and datetime.fromisoformat(expires) <= datetime.now(UTC):
        return "expired"
    return "active"

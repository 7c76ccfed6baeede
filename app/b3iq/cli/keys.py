"""`b3iq keys`: local keys for inference clients."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from b3iq.cli import ids, output
from b3iq.cli.client import AdminClient
from b3iq.cli.key_limits import REMOVABLE, limit_options, stated, words
from b3iq.errors import UsageError
from b3iq.paths import Paths

_file_option = click.option(
    "--file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the key to this new 0600 file instead of showing it.",
)


@click.group("keys")
def keys() -> None:
    """Create, list, limit, rotate and revoke local keys."""


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
@limit_options
@_file_option
@output.json_option
@click.pass_obj
def create(
    paths: Paths, /, name: str, scopes: tuple[str, ...], file: Path | None, **limits: object
) -> None:
    """Make a key. It is shown once, here, and kept only as a digest.

    A limit that is not given does not limit; `b3iq keys limit` sets one later.
    """
    body = {"name": name, "scopes": list(scopes), **stated(limits)}
    _take_secret(AdminClient(paths), "/admin/keys", body, file)


@keys.command("rotate")
@click.argument("key_id")
@click.option(
    "--overlap-minutes",
    type=click.IntRange(0, 7 * 24 * 60),
    default=0,
    show_default=True,
    help="How long the old secret stays good; 0 ends it and its running answers at once.",
)
@_file_option
@output.json_option
@click.pass_obj
def rotate(paths: Paths, key_id: str, overlap_minutes: int, file: Path | None) -> None:
    """Make a new secret for a key: same id, name, scopes and limits.

    Only one secret before it can stay good: rotating again ends the older one at once.
    """
    path = f"/admin/keys/{ids.checked(key_id, 'key')}/rotate"
    _take_secret(AdminClient(paths), path, {"overlap_minutes": overlap_minutes}, file)


@keys.command("limit")
@click.argument("key_id")
@limit_options
@click.option(
    "--remove",
    "removed",
    multiple=True,
    type=click.Choice(list(REMOVABLE)),
    metavar="LIMIT",
    help=f"Lift a limit ({', '.join(REMOVABLE)}); may be repeated.",
)
@output.json_option
@click.pass_obj
def limit(paths: Paths, /, key_id: str, removed: tuple[str, ...], **limits: object) -> None:
    """Change the limits of a key, in force from its next request on.

    What is not named stays as it is. A list, of models or addresses, is replaced as a whole.
    """
    body = stated(limits)
    for field in (REMOVABLE[name] for name in removed):
        place = body if field == "expires_at" else body.setdefault("limits", {})
        if field in place:
            raise UsageError("A limit is set and removed.", remedy="Name it once.")
        place[field] = None
    if not body:
        raise UsageError(
            "Nothing to change was named.",
            remedy="Name a limit, such as --requests-per-minute 60, or --remove concurrency.",
        )
    key = AdminClient(paths).post(f"/admin/keys/{ids.checked(key_id, 'key')}/limits", body)

    def for_people(console: Console) -> None:
        expiry = _moment(key["expires_at"]) + " UTC" if key["expires_at"] else "never"
        line = f"Key {key['key_id']}: limits: {words(key['limits'])}. Expires: {expiry}."
        console.print(line, markup=False, soft_wrap=True)

    output.show(key, for_people)


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
    limited = [
        [key["key_id"], words(key["limits"])]
        for key in answer["data"]
        if any(value is not None for value in key["limits"].values())
    ]

    def for_people(console: Console) -> None:
        output.table(console, columns, rows)
        if limited:
            console.print()
            output.table(console, ["id", "limits"], limited)

    output.show(answer, for_people)


@keys.command("revoke")
@click.argument("key_id")
@output.json_option
@click.pass_obj
def revoke(paths: Paths, key_id: str) -> None:
    """End a key, from its next request on.

    Answers that are being streamed to it end within a second. Again changes nothing.
    """
    answer = AdminClient(paths).post(f"/admin/keys/{ids.checked(key_id, 'key')}/revoke")
    output.show(answer, lambda console: console.print(f"Key {answer['key_id']} is revoked."))


def _take_secret(client: AdminClient, path: str, body: dict[str, Any], file: Path | None) -> None:
    """Ask for a secret and show it, or write it to a file that was opened before it was made."""
    with ExitStack() as stack:
        secret_file = None if file is None else stack.enter_context(output.new_secret_file(file))
        answer = client.post(path, body)
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

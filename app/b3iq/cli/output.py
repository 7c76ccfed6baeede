"""How verbs speak: tables for people, JSON for programs, secrets into 0600 files."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import click
from rich.console import Console
from rich.table import Table

from b3iq.errors import B3iqError, UsageError

_JSON = "b3iq.json"


def json_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--json`; `show` and `show_error` then write JSON."""
    return click.option(
        "--json",
        "as_json",
        is_flag=True,
        expose_value=False,
        callback=_note_json,
        help="Write JSON.",
    )(command)


def _note_json(ctx: click.Context, _parameter: click.Parameter, value: bool) -> None:
    ctx.find_root().meta[_JSON] = value


def is_json() -> bool:
    """Whether the verb was called with `--json`."""
    return bool(click.get_current_context().find_root().meta.get(_JSON))


def terminal(*, stderr: bool = False) -> Console:
    """Where words for people go: nothing in them is coloured, or drawn as a picture, by itself."""
    return Console(stderr=stderr, highlight=False, emoji=False)


def show(data: dict[str, Any], for_people: Callable[[Console], None]) -> None:
    """Write the result of a verb to standard output."""
    if is_json():
        click.echo(json.dumps(data))
    else:
        for_people(terminal())


def show_error(error: B3iqError, *, as_json: bool | None = None) -> None:
    """Write an error and its remedy to standard error.

    Args:
        error: what happened.
        as_json: whether as JSON; None where the verb has read its options and knows.
    """
    if is_json() if as_json is None else as_json:
        fault = {"code": error.code, "detail": error.detail, "remedy": error.remedy}
        click.echo(json.dumps({"error": fault}), err=True)
        return
    console = terminal(stderr=True)
    console.print("[bold red]Error:[/]", end=" ")
    console.print(error.detail, markup=False, soft_wrap=True)
    if error.remedy:
        console.print(error.remedy, markup=False, soft_wrap=True)


def table(console: Console, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A plain table; names typed by people are shown as they are, not as markup."""
    grid = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        grid.add_column(column, overflow="fold")
    for row in rows:
        grid.add_row(*[cell.replace("[", "\\[") for cell in row])
    console.print(grid)


@contextmanager
def new_secret_file(path: Path) -> Iterator[IO[str]]:
    """A new 0600 file for one secret, complete at the end of the block or not there at all.

    Opened before the secret is made: a secret that is shown once must not be lost
    because its file cannot be written.

    Raises:
        UsageError: the file exists, or cannot be made.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise UsageError(
            f"{path} exists and is not overwritten.", remedy="Remove it or name another file."
        ) from None
    except OSError as error:
        raise UsageError(
            f"{path} cannot be written: {error.strerror}.",
            remedy="Name a file in a directory that you may write to.",
        ) from error
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def replace_secret_file(path: Path, text: str) -> None:
    """Put a secret into a 0600 file, in the place of an older one if there is one.

    Raises:
        UsageError: the file cannot be made.
    """
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with new_secret_file(beside) as file:
        file.write(text)
    beside.replace(path)

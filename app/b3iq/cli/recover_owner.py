"""`b3iq recover-owner`: the link by which a lost owner sets a new password, once, in an hour."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console

from b3iq.cli import output
from b3iq.cli.client import AdminClient
from b3iq.paths import Paths


@click.command("recover-owner")
@click.option(
    "--file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the link to this 0600 file instead of showing it.",
)
@output.json_option
@click.pass_obj
def recover_owner(paths: Paths, file: Path | None) -> None:
    """Make the recovery link; a link made before is void from now on.

    Whoever opens it sets the owner's name and password anew. That turns the second
    factor off and ends every session; keys and receipts stay as they are. Until the
    link is used, nothing changes.
    """
    answer = AdminClient(paths).post("/admin/recovery-token")
    if file is not None:
        output.replace_secret_file(file, answer.pop("url") + "\n")
        answer["file"] = str(file)

    def for_people(console: Console) -> None:
        if file is not None:
            console.print(f"The recovery link is in {file}, until {answer['expires_at']}.")
            return
        console.print("One-time recovery link; whoever opens it first owns the node:")
        console.print(answer["url"], soft_wrap=True, markup=False)
        console.print(f"It works once, until {answer['expires_at']}.")

    output.show(answer, for_people)

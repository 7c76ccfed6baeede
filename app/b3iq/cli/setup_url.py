"""`b3iq setup-url`: the link that claims the node, once, within an hour."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console

from b3iq.cli import output
from b3iq.cli.client import AdminClient
from b3iq.paths import Paths


@click.command("setup-url")
@click.option(
    "--file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the link to this 0600 file instead of showing it.",
)
@output.json_option
@click.pass_obj
def setup_url(paths: Paths, file: Path | None) -> None:
    """Make the setup link; a link made before is void from now on."""
    answer = AdminClient(paths).post("/admin/setup-token")
    if file is not None:
        output.replace_secret_file(file, answer.pop("url") + "\n")
        answer["file"] = str(file)

    def for_people(console: Console) -> None:
        if file is not None:
            console.print(f"The setup link is in {file}, until {answer['expires_at']}.")
            return
        console.print("One-time setup link; whoever opens it first owns the node:")
        console.print(answer["url"], soft_wrap=True, markup=False)
        console.print(f"It works once, until {answer['expires_at']}.")

    output.show(answer, for_people)

"""The links that make an owner: shown once, or put into a file for whoever is to open them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.console import Console

from b3iq.cli import output

file_option = click.option(
    "--file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the link to this 0600 file instead of showing it.",
)


def hand_over(answer: dict[str, Any], file: Path | None, name: str) -> None:
    """Show the node's `answer` with its link, or write the link to the file and name that."""
    if file is not None:
        output.replace_secret_file(file, answer.pop("url") + "\n")
        answer["file"] = str(file)

    def for_people(console: Console) -> None:
        if file is not None:
            console.print(f"The {name} link is in {file}, until {answer['expires_at']}.")
            return
        console.print(f"One-time {name} link; whoever opens it first owns the node:")
        console.print(answer["url"], soft_wrap=True, markup=False)
        console.print(f"It works once, until {answer['expires_at']}.")

    output.show(answer, for_people)

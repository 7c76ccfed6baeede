"""`b3iq setup-url`: the link that claims the node, once, within an hour."""

from __future__ import annotations

from pathlib import Path

import click

from b3iq.cli import one_time_links, output
from b3iq.cli.client import AdminClient
from b3iq.paths import Paths


@click.command("setup-url")
@one_time_links.file_option
@output.json_option
@click.pass_obj
def setup_url(paths: Paths, file: Path | None) -> None:
    """Make the setup link; a link made before is void from now on."""
    one_time_links.hand_over(AdminClient(paths).post("/admin/setup-token"), file, "setup")

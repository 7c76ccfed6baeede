"""`b3iq recover-owner`: the link by which a lost owner sets a new password, once, in an hour."""

from __future__ import annotations

from pathlib import Path

import click

from b3iq.cli import one_time_links, output
from b3iq.cli.client import AdminClient
from b3iq.paths import Paths


@click.command("recover-owner")
@one_time_links.file_option
@output.json_option
@click.pass_obj
def recover_owner(paths: Paths, file: Path | None) -> None:
    """Make the recovery link; a link made before is void from now on.

    Whoever opens it sets the owner's name and password anew. That turns the second
    factor off, removes passkeys and ends every session; keys and receipts stay as they
    are. Until the link is used, nothing changes.
    """
    one_time_links.hand_over(AdminClient(paths).post("/admin/recovery-token"), file, "recovery")

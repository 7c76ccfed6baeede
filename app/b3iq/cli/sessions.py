"""`b3iq sessions`: who is logged in to the console."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from b3iq.cli import ids, output
from b3iq.cli.client import AdminClient
from b3iq.paths import Paths


@click.group("sessions")
def sessions() -> None:
    """List and end the owner's sessions."""


@sessions.command("list")
@output.json_option
@click.pass_obj
def list_sessions(paths: Paths) -> None:
    """List the sessions that are open, newest first."""
    answer = AdminClient(paths).get("/admin/sessions")
    rows = [
        [item["session_id"], item["browser"], _moment(item["opened_at"]), _moment(item["seen_at"])]
        for item in answer["data"]
    ]
    columns = ["id", "browser", "opened (UTC)", "last seen (UTC)"]
    output.show(answer, lambda console: output.table(console, columns, rows))


@sessions.command("revoke")
@click.argument("session_id")
@output.json_option
@click.pass_obj
def revoke(paths: Paths, session_id: str) -> None:
    """End a session, from its next request on."""
    answer = AdminClient(paths).post(f"/admin/sessions/{ids.checked(session_id, 'session')}/revoke")
    output.show(answer, lambda console: console.print("The session is ended."))


@sessions.command("revoke-all")
@output.json_option
@click.pass_obj
def revoke_all(paths: Paths) -> None:
    """End every session: whoever is logged in has to log in again."""
    answer = AdminClient(paths).post("/admin/sessions/revoke-all")
    output.show(answer, lambda console: console.print(f"Sessions ended: {answer['ended']}."))


def _moment(time: str) -> str:
    return datetime.fromisoformat(time).astimezone(UTC).strftime("%Y-%m-%d %H:%M")

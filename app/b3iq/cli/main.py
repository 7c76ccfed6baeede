"""`b3iq`: the one command line. Each verb is imported when it is asked for."""

from __future__ import annotations

import importlib
import os
from pathlib import Path

import click

from b3iq import __version__
from b3iq.cli import local_key, output
from b3iq.errors import B3iqError
from b3iq.paths import Paths

# Verb → (where it is, its line in `b3iq --help`).
VERBS = {
    "audit": ("b3iq.cli.audit:audit", "List, verify and export the audit log."),
    "chat": ("b3iq.cli.chat:chat", "Chat with a model of the node."),
    "credentials": ("b3iq.cli.credentials:credentials", "Make the node's secret files."),
    "doctor": ("b3iq.cli.doctor:doctor", "Examine the node and say what to do."),
    "keys": ("b3iq.cli.keys:keys", "Create, list, limit, rotate and revoke local keys."),
    "lan": ("b3iq.cli.lan:lan", "Show what other machines reach, and the certificate."),
    "receipts": ("b3iq.cli.receipts:receipts", "List and verify signed receipts."),
    "recover-owner": (
        "b3iq.cli.recover_owner:recover_owner",
        "Make the link that recovers a lost owner.",
    ),
    "serve": ("b3iq.cli.serve:serve", "Run node and engine in the foreground."),
    "sessions": ("b3iq.cli.sessions:sessions", "List and end the owner's sessions."),
    "setup-url": ("b3iq.cli.setup_url:setup_url", "Make the link that claims the node."),
    "status": ("b3iq.cli.status:status", "Show what the node is doing."),
    "update": ("b3iq.cli.update:update", "Check, plan, apply, undo and explain updates."),
}


class Verbs(click.Group):
    """A group that loads its commands late and shows errors with their remedies."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The verbs, sorted."""
        del ctx
        return sorted(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one verb."""
        del ctx
        if cmd_name not in VERBS:
            return None
        module, _, attribute = VERBS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list in `--help`, without importing every verb."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, VERBS[name][1]) for name in sorted(VERBS)])

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the arguments, unless a secret is among them: that comes before anything else."""
        try:
            local_key.refuse_in_arguments(args)
        except B3iqError as error:
            output.show_error(error, as_json="--json" in args)
            ctx.exit(error.exit_code)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> None:
        """Run; a known error ends with its own exit code."""
        try:
            super().invoke(ctx)
        except B3iqError as error:
            output.show_error(error)
            ctx.exit(error.exit_code)


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="b3iq")
@click.option(
    "--state",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="B3IQ_STATE_DIR",
    help="State directory of a development node; without it, the installed node is meant.",
)
@click.pass_context
def cli(ctx: click.Context, state: Path | None) -> None:
    """Run and administer a B3IQ node."""
    ctx.obj = Paths.system() if state is None else Paths.under(state.absolute())


def main() -> None:
    """Entry point."""
    os.umask(0o077)
    cli()

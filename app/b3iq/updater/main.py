"""`b3iq-updater`: verify, export, install, status."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from b3iq.errors import B3iqError, UsageError
from b3iq.updater import answers, apply, journal, plan, transaction
from b3iq.updater import export as export_
from b3iq.updater import floors as floors_
from b3iq.updater import status as status_
from b3iq.updater.commands import VERBS, common_machine
from b3iq.updater.fetch import Repository
from b3iq.updater.floors import Floors
from b3iq.updater.manifest import Accelerator, digest
from b3iq.updater.phases import Outcome
from b3iq.updater.progress import Progress
from b3iq.updater.session import Request, read_trusted_root, verified

Command = TypeVar("Command", bound=Callable[..., Any])

_ROOT_DIRECTORY = click.option(
    "--root-directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("/"),
    show_default=True,
    help="Where the host's file system begins; for images and tests.",
)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
_OUTPUT = click.Path(path_type=Path, file_okay=False)


def _trust_options(command: Command) -> Command:
    """Options of every verb that asks a repository."""
    for option in (
        _JSON,
        click.option(
            "--reset-floors",
            is_flag=True,
            help="Accept a repository anew: docs/release.md says when.",
        ),
        click.option("--channel", default="stable", show_default=True, help="Which release."),
        click.option(
            "--trusted-root",
            required=True,
            type=click.Path(path_type=Path, dir_okay=False),
            help="The pinned root file, from its publisher and not from the repository.",
        ),
        click.option(
            "--repository", required=True, metavar="DIR|URL", help="Holds metadata/ and targets/."
        ),
    ):
        command = option(command)
    return command


def _accelerator(*, required: bool) -> Callable[[Command], Command]:
    return click.option(
        "--accelerator",
        type=click.Choice(["cpu", "cuda"]),
        required=required,
        help="Which runtime layer the host takes.",
    )


_STATE = click.option(
    "--state-directory",
    type=_OUTPUT,
    help="Rollback floors of this machine. Default: below ~/.local/state/b3iq/updater.",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Verify, export and install signed releases of the B3IQ node.

    Nothing is installed that the pinned root does not vouch for, and nothing older than what
    this machine has seen. A refusal names its reason, changes nothing and exits 1.
    """


@cli.command()
@_trust_options
@_accelerator(required=False)
@_STATE
def verify(
    repository: str,
    trusted_root: Path,
    channel: str,
    accelerator: Accelerator | None,
    state_directory: Path | None,
    reset_floors: bool,
    as_json: bool,
) -> None:
    """Check metadata, manifest and the bytes of every archive; change nothing.

    With --accelerator only the archives of such a host are read; without it, all of them.
    """
    request = _operator_request(repository, trusted_root, channel, state_directory, reset_floors)
    with verified(request) as (release, _):
        manifest = release.manifest
        archives = manifest.needed(accelerator) if accelerator else manifest.archives()
        export_.check_archives(request.repository, archives, Progress(silent=as_json))
        answers.show(answers.release(release, changed=False), as_json, "Verified")


@cli.command()
@_trust_options
@_accelerator(required=True)
@_STATE
@click.option("--output", required=True, type=_OUTPUT, help="Directory of the copy.")
def export(
    repository: str,
    trusted_root: Path,
    channel: str,
    accelerator: Accelerator,
    state_directory: Path | None,
    output: Path,
    reset_floors: bool,
    as_json: bool,
) -> None:
    """Verify, then write the smallest repository that such a host needs.

    The copy verifies with the same trusted root. A second run changes nothing; files of
    earlier exports in OUTPUT/metadata and OUTPUT/targets are removed.
    """
    if Path(repository).is_dir() and output.resolve() == Path(repository).resolve():
        raise UsageError("The copy would overwrite the repository.", remedy="Choose another one.")
    request = _operator_request(repository, trusted_root, channel, state_directory, reset_floors)
    with verified(request) as (release, _):
        changed = export_.export(
            request.repository, release, accelerator, output, Progress(silent=as_json)
        )
        answers.show(answers.release(release, changed=changed), as_json, f"Exported to {output}")


@cli.command()
@_trust_options
@_accelerator(required=True)
@_ROOT_DIRECTORY
@click.option("--model-group", metavar="GROUP", help="Group that may read the models.")
@click.option("--check", is_flag=True, help="Say what would be done; change nothing.")
@click.option("--trial", is_flag=True, help="Try it, commit it if it works, else go back.")
@click.option("--retry-known-bad", is_flag=True, help="Try a release again that failed here.")
def install(
    repository: str,
    trusted_root: Path,
    channel: str,
    accelerator: Accelerator,
    root_directory: Path,
    model_group: str | None,
    check: bool,
    trial: bool,
    retry_known_bad: bool,
    reset_floors: bool,
    as_json: bool,
) -> None:
    """Verify, stage, unpack and switch; a second run changes nothing.

    An interrupted run leaves the installed release as it was; run it again.
    """
    paths = status_.rooted(root_directory)
    request = Request(
        repository=Repository(repository),
        trusted_root=read_trusted_root(trusted_root),
        channel=channel,
        state=paths.updater_state,
        floors_required=status_.has_release(paths),
        reset_floors=reset_floors,
        dry=check,
    )
    group = -1 if check else apply.check_group(model_group)
    ended = None
    with verified(request) as (release, floors):
        installed = status_.read(paths, release.manifest.models)
        steps = plan.plan(release.manifest, release.manifest_sha256, accelerator, installed)
        if not check:
            shown = Progress(silent=as_json)
            job = apply.Job(request.repository, release, paths, group, shown, park_models=trial)
            ended = _carry_out(job, steps, request, floors, retry_known_bad)
        done = answers.release(release, changed=bool(steps))
        done["steps"] = [str(step) for step in steps]
        done["outcome"] = None if ended is None else ended.model_dump(mode="json")
        answers.show(done, as_json, "Would install" if check else "Installed")


@cli.command()
@_ROOT_DIRECTORY
@_JSON
def status(root_directory: Path, as_json: bool) -> None:
    """Show what is installed here."""
    answers.show(status_.report(status_.rooted(root_directory)), as_json, "Installed")


def _carry_out(
    job: apply.Job, steps: tuple[plan.Step, ...], request: Request, floors: Floors, retry: bool
) -> Outcome | None:
    """With a trial, or at once and noted for the history."""
    if job.park_models:
        outcome = transaction.apply(job, steps, retry_known_bad=retry)
        common_machine.insist(outcome)
        return outcome
    transaction.require_idle(job.paths)
    apply.apply(job, steps)
    floors_.write(request.floors_file, floors_.raised_sequence(floors, job.release.manifest))
    transaction.record_installed(
        job.paths, journal.reference(job.release.manifest, job.release.manifest_sha256)
    )
    return None


for _verb in VERBS:
    cli.add_command(_verb)


def _operator_request(
    repository: str, trusted_root: Path, channel: str, state: Path | None, reset_floors: bool
) -> Request:
    root = read_trusted_root(trusted_root)
    if state is None:
        base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
        # One machine may serve several publishers; each pinned root has floors of its own.
        state = Path(base) / "b3iq" / "updater" / digest(root)[:16]
    return Request(
        repository=Repository(repository),
        trusted_root=root,
        channel=channel,
        state=state,
        floors_required=False,
        reset_floors=reset_floors,
    )


def main(arguments: list[str] | None = None) -> int:
    """Entry point; returns the exit status: 0 done, 1 refused, 2 called wrongly."""
    os.umask(0o077)
    try:
        cli(arguments, standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        click.echo("Interrupted; the installed release is as it was.", err=True)
        return 130
    except B3iqError as error:
        answers.show_refusal(error, "--json" in (sys.argv if arguments is None else arguments))
        return error.exit_code
    return 0

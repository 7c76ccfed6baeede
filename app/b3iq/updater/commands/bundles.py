"""`export-bundle` and `import-bundle`: updates for sites without a network."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import click

from b3iq.updater import bundle as bundle_
from b3iq.updater import decision, export, fsops, session, status
from b3iq.updater.commands import common
from b3iq.updater.decision import BUNDLE, Question
from b3iq.updater.progress import Progress
from b3iq.updater.settings import UpdateSettings

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command("export-bundle")
@click.option("--output", required=True, type=_FILE, help="The bundle to write: one tar file.")
@common.options
def export_bundle(output: Path, root_directory: Path, as_json: bool) -> None:
    """Verify what update.toml's repository offers, and pack it for a site without a network.

    Run it on a node that reaches the repository. The bundle is for hosts with the same trusted
    root and accelerator, and is verified there like any repository.
    """
    question = Question(root_directory, decision.settings(root_directory))
    asked = decision.request(question)
    with (
        session.verified(asked) as (release, _),
        fsops.named_failures(),
        tempfile.TemporaryDirectory(prefix=".b3iq-bundle-", dir=output.absolute().parent) as place,
    ):
        silent = Progress(silent=as_json)
        accelerator = question.settings.accelerator
        export.export(asked.repository, release, accelerator, Path(place), silent)
        bundle_.write(Path(place), output)
        _show(release.manifest.version, "Exported", as_json)


@click.command("import-bundle")
@click.argument("bundle", type=_FILE)
@common.options
def import_bundle(bundle: Path, root_directory: Path, as_json: bool) -> None:
    """Verify BUNDLE and keep it as a repository of this machine; install nothing.

    `plan` and `apply` with --bundle then use it, without --bundle where update.toml names no
    repository. It passes the same verification and the same gates. It takes the place of a
    bundle that was imported before.
    """
    paths = status.rooted(root_directory)
    settings = decision.settings(root_directory)
    incoming = paths.updater_state / ".bundle-incoming"
    with fsops.exclusive(paths.updater_state / "bundle-lock"):
        bundle_.unpack(bundle, incoming)
        try:
            version = _verify(root_directory, settings, incoming, Progress(silent=as_json))
            with fsops.named_failures():
                fsops.publish(incoming, paths.updater_state / BUNDLE)
        finally:
            fsops.remove(incoming)
    _show(version, "Imported", as_json)


def _verify(root: Path, settings: UpdateSettings, incoming: Path, progress: Progress) -> str:
    """The whole verification of a repository, every archive's bytes included."""
    question = Question(root, settings.model_copy(update={"repository": str(incoming)}))
    asked = decision.request(question)
    with session.verified(asked) as (release, _):
        needed = release.manifest.needed(settings.accelerator)
        export.check_archives(asked.repository, needed, progress)
        return release.manifest.version


def _show(version: str, done: str, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"changed": True, "version": version}))
    else:
        common.terminal().print(f"{done}: release {version}", soft_wrap=True)

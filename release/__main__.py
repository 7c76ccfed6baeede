"""`python -m release`: build, sign and look at releases."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from b3iq.errors import B3iqError
from b3iq.updater.progress import Progress
from release import demo as demo_
from release import layers as layers_
from release import source
from release.ceremony.cli import ceremony

CHECKOUT = Path(__file__).resolve().parent.parent


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Build releases of the B3IQ node and sign them as a TUF repository.

    \b
    python -m release demo --output build/release     everything, with throwaway keys
    python -m release layers                          only the layers, into the cache
    python -m release ceremony                        sign and publish with several people's keys

    Layers are cached by their recipe under ~/.cache/b3iq/layers (or $XDG_CACHE_HOME). The first
    build of the CPU runtime downloads about 250 MB and takes minutes; later ones take seconds.
    """


cli.add_command(ceremony)


@cli.command()
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("build/release"),
    show_default=True,
    help="Gets keys/, repository/ and trusted-root.json.",
)
@click.option(
    "--model",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("build/models/b3iq-smoke"),
    show_default=True,
    help="Model directory to ship; made first if there is none.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def demo(output: Path, model: Path, as_json: bool) -> None:
    """Build a release and sign it with throwaway keys.

    The keys are made once and kept in OUTPUT/keys (mode 0700). A second run publishes a new
    release only if the source, a lock or the model changed. Give OUTPUT/trusted-root.json to
    whoever installs; keep OUTPUT/keys to yourself, and use neither in production.
    """
    output.mkdir(parents=True, exist_ok=True)
    demo_.ensure_model(model)
    made = demo_.build(CHECKOUT, output.resolve(), model, Progress(silent=as_json))
    if as_json:
        click.echo(
            json.dumps(
                {
                    "changed": made.changed,
                    "version": made.manifest.version,
                    "sequence": made.manifest.sequence,
                    "repository": str(made.repository),
                    "trusted_root": str(made.trusted_root),
                }
            )
        )
        return
    _show(made)


@cli.command()
def layers() -> None:
    """Build every layer into the cache and list them."""
    package = source.read(CHECKOUT)
    table = Table("layer", "archive", "unpacked", "sha256")
    for name in layers_.RECIPES:
        packed = layers_.build(name, CHECKOUT, package, Progress())
        table.add_row(name, _mib(packed.length), _mib(packed.unpacked_bytes), packed.sha256)
    Console(emoji=False).print(table)


def _show(made: demo_.Demo) -> None:
    manifest = made.manifest
    commit = manifest.source_commit[:12] + (" with local changes" if manifest.source_dirty else "")
    table = Table("target", "archive", "unpacked", title=f"Release {manifest.version} ({commit})")
    for archive in (*manifest.layers, *manifest.models):
        table.add_row(archive.target, _mib(archive.length), _mib(archive.unpacked_bytes))
    console = Console(emoji=False)
    console.print(table)
    console.print(f"{'Published' if made.changed else 'Unchanged'}: {made.repository}")
    console.print(f"Pin this root: {made.trusted_root}")


def _mib(length: int) -> str:
    return f"{length / (1 << 20):.1f} MiB"


def main() -> int:
    """Entry point; a failure prints what happened and what to do."""
    os.umask(0o077)
    try:
        cli(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        return 130
    except B3iqError as error:
        click.echo(f"{error.title}: {error.message}", err=True)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())

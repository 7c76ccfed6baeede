"""`python -m release.smoke_model --output DIR`: make b3iq-smoke, or take it from the cache."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import click
from rich.console import Console

from b3iq.errors import B3iqError
from release.smoke_model.progress import TrainingProgress
from release.smoke_model.recipe import Recipe


@click.command()
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Model directory to make; an earlier model there is replaced.",
)
@click.option("--fresh", is_flag=True, help="Train even if the cache has the model.")
def main(output: Path, *, fresh: bool) -> None:
    """Make b3iq-smoke, the small model for smoke tests, or take it from the cache."""
    os.umask(0o077)
    # Threads that wait for each other must not spin where others need the processor.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # torch and transformers take seconds to import: --help does not wait for them.
    from release.smoke_model.build import obtain

    console = Console(stderr=True, emoji=False)
    recipe = Recipe()
    began = time.monotonic()
    try:
        with TrainingProgress(console, recipe.steps) as progress:
            manifest = obtain(output, progress.report, progress.note, fresh=fresh)
    except B3iqError as error:
        console.print(error.message, style="red", markup=False, highlight=False, soft_wrap=True)
        sys.exit(error.exit_code)
    console.print(
        f"{manifest.name}: {manifest.parameters:,} parameters at {output}, weights "
        f"{manifest.weights_sha256[:16]}, {time.monotonic() - began:.0f} s.",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


if __name__ == "__main__":
    main()

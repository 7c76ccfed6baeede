"""Progress of long steps on standard error: bars on a terminal, one line a step elsewhere."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

from rich import progress as rich_progress
from rich.console import Console

Advance = Callable[[int], None]


class Progress:
    """Shows steps; a silent one for callers that print machine-readable output."""

    def __init__(self, *, silent: bool = False) -> None:
        self._silent = silent
        self._console = Console(stderr=True, emoji=False)

    @contextlib.contextmanager
    def step(self, description: str, total: int, *, unit: str = "bytes") -> Iterator[Advance]:
        """Show one step while the body runs.

        Args:
            description: what is being done.
            total: amount of work, in `unit`.
            unit: "bytes" is shown in MB/s, anything else is counted.

        Yields:
            A function to call with the amount done since the last call.
        """
        if self._silent:
            yield _ignore
        elif self._console.is_terminal:
            with rich_progress.Progress(*_columns(unit), console=self._console) as bars:
                task = bars.add_task(description, total=total)
                yield lambda amount: bars.advance(task, amount)
                bars.update(task, completed=total)
        else:
            started = time.monotonic()
            yield _ignore
            sys.stderr.write(f"{description}: {time.monotonic() - started:.1f} s\n")
            sys.stderr.flush()


def _columns(unit: str) -> tuple[rich_progress.ProgressColumn, ...]:
    amount: tuple[rich_progress.ProgressColumn, ...] = (
        (rich_progress.DownloadColumn(), rich_progress.TransferSpeedColumn())
        if unit == "bytes"
        else (rich_progress.MofNCompleteColumn(), rich_progress.TextColumn(unit))
    )
    return (
        rich_progress.SpinnerColumn(),
        rich_progress.TextColumn("{task.description}"),
        rich_progress.BarColumn(),
        *amount,
        rich_progress.TimeElapsedColumn(),
    )


def _ignore(_amount: int) -> None:
    return None

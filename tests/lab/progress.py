"""Numbered steps with their times, for commands that a person watches."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from rich.console import Console

console = Console(highlight=False)


class Steps:
    """Announces each step as `[2/9] …` and says how long it took."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._number = 0
        self._started = time.monotonic()

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[None]:
        """One step; its own output may come in between."""
        self._number += 1
        started = time.monotonic()
        console.print(f"[bold cyan][{self._number}/{self._total}][/] [bold]{title}[/]")
        try:
            yield
        except BaseException:
            console.print(f"      [red]stopped[/] after {time.monotonic() - started:.1f} s")
            raise
        console.print(f"      [green]done[/] in {time.monotonic() - started:.1f} s")

    def elapsed_s(self) -> float:
        """Seconds since the first step was planned."""
        return time.monotonic() - self._started

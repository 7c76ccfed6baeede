"""Shows how the training goes: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

_LINE_EVERY = 25


class TrainingProgress:
    """Context manager; `report` after each step, `note` at each stage."""

    def __init__(self, console: Console, steps: int) -> None:
        self._console = console
        self._steps = steps
        self._began = time.monotonic()
        self._bar = Progress(
            TextColumn("Training"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("loss {task.fields[loss]:.3f}"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("training", total=steps, loss=float("nan"), visible=False)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def note(self, sentence: str) -> None:
        """A stage was reached."""
        self._console.print(sentence, markup=False, highlight=False, soft_wrap=True)

    def report(self, step: int, loss: float) -> None:
        """A training step was done; `loss` in nats a token."""
        if step == 1:
            self._began = time.monotonic()
        if self._console.is_terminal:
            self._bar.update(self._task, completed=step, loss=loss, visible=True)
        elif step % _LINE_EVERY == 0 or step == self._steps:
            left = (time.monotonic() - self._began) / max(1, step - 1) * (self._steps - step)
            self.note(f"step {step}/{self._steps}, loss {loss:.3f}, about {left:.0f} s left")

"""Looks for a secret in the arguments and the environment of every process there is.

A process that lives for a millisecond would be missed by looking now and then. So each
program that a watched script finds on its PATH waits, with its arguments, until it was seen.
"""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

# `$$` and the arguments are those of the program that it becomes.
_WAITER = """#!/bin/sh
: >"{waiting}/$$"
while [ -e "{waiting}/$$" ]; do /bin/sleep 0.01; done
exec {program} "$@"
"""
_FOUND_IN = ("cmdline", "environ")


@dataclass
class Watched:
    """What was seen while a script ran.

    Attributes:
        leaks: `<file> <name of the program>` of each place that held the secret.
        programs: what the script ran, by name, each looked at.
        modes: modes of the files in the script's `.secrets/` while its programs ran.
    """

    leaks: set[str] = field(default_factory=set)
    programs: list[str] = field(default_factory=list)
    modes: set[int] = field(default_factory=set)


class Watcher:
    """Runs scripts in a directory of their own and watches every process meanwhile."""

    def __init__(self, directory: Path, secret: str) -> None:
        self._secret = secret.encode()
        self._directory = directory
        self._programs = directory / "programs"
        self._waiting = directory / "waiting"
        for made in (self._programs, self._waiting):
            made.mkdir()

    def run(
        self, shell: str, script: str, environment: dict[str, str]
    ) -> tuple[subprocess.CompletedProcess[str], Watched]:
        """Run the text of a script in a shell that knows only the watched programs."""
        path = self._directory / "script"
        path.write_text(script, encoding="utf-8")
        with self._watching() as watched:
            done = subprocess.run(
                [shell, str(path)],
                cwd=self._directory,
                env={"PATH": str(self._programs), **environment},
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
        return done, watched

    def know(self, *programs: str) -> None:
        """Let scripts find these programs."""
        for program in programs:
            found = shutil.which(program)
            assert found, program
            waiter = self._programs / program
            waiter.write_text(_WAITER.format(waiting=self._waiting, program=found))
            waiter.chmod(0o755)

    @contextmanager
    def _watching(self) -> Iterator[Watched]:
        watched, ended = Watched(), threading.Event()

        def watch() -> None:
            while not ended.is_set():
                self._look(watched)

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield watched
        finally:
            ended.set()
            thread.join()

    def _look(self, watched: Watched) -> None:
        waiting = list(self._waiting.iterdir())
        for process in Path("/proc").iterdir():
            if process.name.isdigit():
                self._search(process, watched)
        for entry in waiting:
            words = (Path("/proc") / entry.name / "cmdline").read_bytes().split(b"\0")
            watched.programs.append(Path(words[1].decode()).name)
            watched.modes |= {
                path.stat().st_mode & 0o777 for path in self._directory.glob(".secrets/*")
            }
            entry.unlink()

    def _search(self, process: Path, watched: Watched) -> None:
        for part in _FOUND_IN:
            try:
                held = (process / part).read_bytes()
                if self._secret in held:
                    name = (process / "comm").read_text().strip()
                    watched.leaks.add(f"{part} {name}")
            except OSError:
                continue  # it has ended, or belongs to another user

"""Child processes of `b3iq serve`: started together, restarted if they die, stopped together."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from b3iq.errors import B3iqError

_PR_SET_PDEATHSIG = 1  # prctl(2)
_RESTART_S = 0.5
_GIVE_UP_AFTER = 5
_WITHIN_S = 60.0
_LOOK_S = 0.2
# Exit statuses that a restart does not mend: 2 configuration, 3 and 4 gunicorn's worker
# could not boot.
_HOPELESS = frozenset({2, 3, 4})


class ChildFailed(B3iqError):
    """A process of the node ended and a restart would not help."""

    code = "process_failed"
    title = "A process of the node ended"


class Child:
    """One process, in a process group of its own, its words in a log file (0600).

    Args:
        name: for people.
        command: what to run.
        log: where its standard error goes; begun anew at each start of `serve`.
    """

    def __init__(self, name: str, command: list[str], log: Path) -> None:
        self.name = name
        self.log = log
        self._command = command
        self._starts: list[float] = []
        log.unlink(missing_ok=True)
        self._process = self._spawn()

    @property
    def pid(self) -> int:
        """The process id of the last start."""
        return self._process.pid

    def keep_running(self) -> bool:
        """Restart it if it has ended; whether it had.

        Raises:
            ChildFailed: it ended in a way that a restart does not mend, or too often.
        """
        status = self._process.poll()
        if status is None:
            return False
        now = time.monotonic()
        recent = [start for start in self._starts if now - start < _WITHIN_S]
        if status in _HOPELESS or len(recent) >= _GIVE_UP_AFTER:
            raise ChildFailed(
                f"The {self.name} ended with status {status}. {self._last_words()}".strip(),
                remedy=f"Its log is {self.log}.",
            )
        self._sweep()
        time.sleep(_RESTART_S)
        self._process = self._spawn()
        return True

    def stop(self, patience_s: float, hurry: Callable[[], bool]) -> None:
        """Ask it to end, and kill its whole group if it has not when patience is over."""
        if self._process.poll() is None:
            self._process.terminate()
        until = time.monotonic() + patience_s
        while self._process.poll() is None and time.monotonic() < until and not hurry():
            time.sleep(_LOOK_S / 4)
        self._sweep()
        self._process.wait()

    def _sweep(self) -> None:
        """Kill what is left of its group: workers that outlived their parent."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def _spawn(self) -> subprocess.Popen[bytes]:
        self._starts.append(time.monotonic())
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(self.log, flags, 0o600)
        try:
            return subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=descriptor,
                stderr=descriptor,
                start_new_session=True,
                preexec_fn=_end_with_parent,
            )
        finally:
            os.close(descriptor)

    def _last_words(self) -> str:
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        plain = [line for line in lines if line and not line.startswith("<")]
        if plain:
            return plain[-1]
        for line in reversed(lines):
            try:
                return str(json.loads(line[3:])["event"])
            except (ValueError, KeyError, TypeError):
                continue
        return ""


def _end_with_parent() -> None:
    """In the child: SIGTERM when the parent dies, however it dies."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class Interrupts:
    """Counts SIGINT and SIGTERM: one means stop, a second means at once."""

    def __init__(self) -> None:
        self._count = 0
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._note)

    def asked(self) -> bool:
        """Whether to stop."""
        return self._count > 0

    def hurried(self) -> bool:
        """Whether to stop without patience."""
        return self._count > 1

    def pause(self) -> None:
        """Wait a moment."""
        time.sleep(_LOOK_S)

    def _note(self, _number: int, _frame: object) -> None:
        self._count += 1

from __future__ import annotations

import os
import signal
import stat
import sys
import time
from pathlib import Path

import pytest

from b3iq.cli import supervise
from b3iq.cli.supervise import Child, ChildFailed


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(supervise, "_RESTART_S", 0.0)


def child(tmp_path: Path, program: str) -> Child:
    return Child("child", [sys.executable, "-c", program], tmp_path / "child.log")


def ended(pid: int) -> bool:
    try:
        return "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return True


def until(what) -> None:
    end = time.monotonic() + 20
    while not what():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_child_that_is_killed_is_started_again(tmp_path):
    running = child(tmp_path, "import time; time.sleep(60)")
    first = running.pid
    assert not running.keep_running()
    os.kill(first, signal.SIGKILL)
    until(running.keep_running)
    assert running.pid != first
    running.stop(5, lambda: False)
    assert ended(running.pid)


def test_a_child_with_a_fault_that_a_restart_does_not_mend_is_given_up(tmp_path):
    running = child(tmp_path, "import sys; print('no such model', file=sys.stderr); sys.exit(2)")
    with pytest.raises(ChildFailed, match=r"status 2\. no such model"):
        until(running.keep_running)


def test_a_child_that_keeps_dying_is_given_up(tmp_path):
    running = child(tmp_path, "import sys; sys.exit(1)")
    with pytest.raises(ChildFailed):
        until(lambda: running.keep_running() and False)


def test_a_child_that_ignores_sigterm_is_killed_with_its_own_children(tmp_path):
    program = (
        "import os, signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "pid = os.fork()\n"
        "if pid: print(pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    running = child(tmp_path, program)
    until(lambda: running.log.read_text().strip())
    grandchild = int(running.log.read_text())
    running.stop(0.2, lambda: False)
    until(lambda: ended(grandchild))
    assert ended(running.pid)


def test_a_second_interrupt_ends_the_patience(tmp_path):
    running = child(
        tmp_path, "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(60)"
    )
    running.stop(3600, lambda: True)
    assert ended(running.pid)


def test_the_log_is_private(tmp_path):
    running = child(tmp_path, "print('words')")
    running.stop(5, lambda: False)
    assert stat.S_IMODE(running.log.stat().st_mode) == 0o600

"""A verb of the updater in a process that ends without warning before its Nth change."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from b3iq.updater import fsops
from b3iq.updater.main import main

_CHANGES = {"os.rename", "os.symlink", "os.mkdir", "os.rmdir", "os.remove", "os.chmod"}
KILLED = 137


def run(root: Path, arguments: list[str], die_at: int) -> tuple[int, int]:
    """Run a verb in a child; exit status and changes seen. With `die_at` 0 it lives."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        changes = 0

        def change() -> None:
            nonlocal changes
            changes += 1
            if changes == die_at:
                os._exit(KILLED)

        def watch(event: str, arguments: Any) -> None:
            mine = event in _CHANGES or (event == "open" and arguments[2] & os.O_CREAT)
            if mine and str(arguments[0]).startswith(str(root)):
                change()

        exchange = fsops._exchange

        def exchanged(one: Path, other: Path) -> None:
            change()
            exchange(one, other)

        try:
            sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115 - until _exit
            # A system call through ctypes is no audit event.
            fsops._exchange = exchanged
            sys.addaudithook(watch)
            status = main([*arguments, "--root-directory", str(root), "--json"])
            os.write(writer, str(changes).encode())
            os._exit(status)
        finally:
            os._exit(99)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        seen = pipe.read()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), int(seen or 0)

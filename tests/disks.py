"""A small disk of its own, to be filled up or made read-only: the kernel's refusal, not ours."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


class Disk:
    """A mounted tmpfs."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def fill(self) -> None:
        """Write until nothing more fits."""
        with (self.path / "filler").open("ab", buffering=0) as file:
            for size in (65536, 4096, 1):
                with contextlib.suppress(OSError):
                    while True:
                        file.write(b"\0" * size)

    def free(self) -> None:
        """Take back what `fill` wrote."""
        (self.path / "filler").unlink()

    def read_only(self) -> None:
        """As an administrator, or a failing disk, leaves it; nobody may have a file open."""
        _mount("-o", "remount,ro", str(self.path))

    def writable(self) -> None:
        """Take back `read_only`."""
        _mount("-o", "remount,rw", str(self.path))


@contextmanager
def small_disk(path: Path, mebibytes: int) -> Iterator[Disk]:
    """A disk of that size at `path`; gone at the end."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a disk")
    path.mkdir(exist_ok=True)
    _mount("-t", "tmpfs", "-o", f"size={mebibytes}m,mode=0700", "b3iq-test", str(path))
    try:
        yield Disk(path)
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)

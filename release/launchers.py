"""Launchers of a layer: they find their packages beside themselves and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

# -I: no PYTHONPATH, no user site, no current directory. realpath: a process keeps the
# release that it was started from when `current` is switched under it.
TEMPLATE = '''\
#!/usr/bin/python3.11 -I
"""Start {module} from the tree that this file lies in."""

import os
import sys

os.umask(0o077)
sys.dont_write_bytecode = True
TREE = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
sys.path[:0] = [os.path.join(TREE, part) for part in {paths!r}]

from {module} import main

if __name__ == "__main__":
    sys.exit(main())
'''


@dataclass(frozen=True)
class Launcher:
    """A command: its name, the module whose `main` it calls, and its search path."""

    name: str
    module: str
    paths: tuple[str, ...]


NODE = (
    Launcher("b3iq", "b3iq.cli.main", ("app", "lib")),
    Launcher("b3iq-node", "b3iq.node.main", ("app", "lib")),
    # The engine sees the runtime layer and none of the node's packages.
    Launcher("b3iq-engine", "b3iq.engine.main", ("app", "runtime/lib")),
)
UPDATER = (Launcher("b3iq-updater", "b3iq.updater.main", ("app", "lib")),)


def write(directory: Path, launchers: tuple[Launcher, ...]) -> None:
    """Write executable launchers; no directory where there are none."""
    for launcher in launchers:
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / launcher.name
        path.write_text(TEMPLATE.format(module=launcher.module, paths=launcher.paths))
        path.chmod(0o755)

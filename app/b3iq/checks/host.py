"""The host as checks see it: a root directory, where things lie below it, and a machine."""

from __future__ import annotations

import contextlib
import os
import stat
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from b3iq import systemd
from b3iq.checks.machine import CannotLook, Machine
from b3iq.config import EngineConfig, NodeConfig, load
from b3iq.paths import Paths

NODE = "b3iq-node.service"
NODE_SOCKET = "b3iq-node.socket"
ENGINE = "b3iq-engine.service"
ENGINE_SOCKET = "b3iq-engine.socket"
SERVICES = (NODE, ENGINE)
UNITS = (NODE, NODE_SOCKET, ENGINE, ENGINE_SOCKET)

_KINDS = {stat.S_IFDIR: "directory", stat.S_IFLNK: "link", stat.S_IFSOCK: "socket"}


@dataclass(frozen=True)
class FileStatus:
    """What a path is: `kind` is `file`, `directory`, `link`, `socket` or `other`."""

    kind: str
    mode: int
    owner: str

    def __str__(self) -> str:
        return f"{self.owner} {self.mode:04o}"

    def unlike(self, *wanted: FileStatus) -> str:
        """In words, how it differs from what it must be; empty where it does not."""
        if self in wanted:
            return ""
        if all(self.kind != one.kind for one in wanted):
            return f"is a {self.kind}, not a {wanted[0].kind}"
        return f"is {self}, not {' or '.join(map(str, wanted))}"


@dataclass
class Host:
    """Where checks look.

    Attributes:
        paths: the layout, as paths that can be opened.
        installed: made by the install playbook; else a development node under `b3iq serve`.
        root: where the host's file system begins.
        deep: read everything, however long it takes.
    """

    paths: Paths
    installed: bool
    root: Path = Path("/")
    deep: bool = False
    machine: Machine = field(default_factory=Machine)

    def at(self, path: str | Path) -> Path:
        """An absolute path of the host as one that can be opened."""
        return self.root / Path(path).relative_to("/")

    def named(self, path: Path) -> str:
        """The other way round, for sentences."""
        return f"/{path.relative_to(self.root)}"

    def matching(self, pattern: str) -> list[Path]:
        """What lies at an absolute path of the host, in which a `*` stands for each name."""
        if "*" not in pattern:
            path = self.at(pattern)
            return [path] if os.path.lexists(path) else []
        return sorted(self.root.glob(pattern.removeprefix("/")))

    def status(self, path: Path) -> FileStatus | None:
        """What lies at a path, not following a link; None where nothing does."""
        try:
            found = path.lstat()
        except FileNotFoundError:
            return None
        plain = "file" if stat.S_ISREG(found.st_mode) else "other"
        kind = _KINDS.get(stat.S_IFMT(found.st_mode), plain)
        return FileStatus(kind, stat.S_IMODE(found.st_mode), self.machine.owner(path))

    def read(self, path: str | Path) -> str:
        """The text of a small file of the host.

        Raises:
            CannotLook: there is none, or it cannot be read.
        """
        try:
            return self.at(path).read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            raise CannotLook(f"{path} cannot be read: {error.strerror}.") from error

    @cached_property
    def units(self) -> dict[str, dict[str, str]]:
        """What systemd says of the units: name → property → value."""
        return systemd.parse_show(self.machine.run(*systemd.show_command(UNITS)), UNITS)

    def runs(self, unit: str) -> bool:
        """Whether a unit is active."""
        return self.units[unit].get("ActiveState") == "active"

    def processes(self, unit: str) -> list[int]:
        """The processes of a service: the first, and those that it started."""
        main = int(self.units[unit].get("MainPID") or 0)
        if not main:
            return []
        children = ""
        with contextlib.suppress(CannotLook):
            children = self.read(f"/proc/{main}/task/{main}/children")
        return [main, *(int(child) for child in children.split())]

    @cached_property
    def node_config(self) -> NodeConfig:
        """Settings of the node.

        Raises:
            ConfigError: they are not what they must be.
        """
        return load(NodeConfig, self.paths.node_config)

    @cached_property
    def engine_config(self) -> EngineConfig:
        """Settings of the engine.

        Raises:
            ConfigError: they are not what they must be.
        """
        return load(EngineConfig, self.paths.engine_config)

    @cached_property
    def node_status(self) -> dict[str, Any] | None:
        """What the node says of itself to the administrator; None where it does not answer."""
        return self.machine.get("/admin/status", socket=self.paths.admin_socket)

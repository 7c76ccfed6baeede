"""An SSH forward of a host's loopback listener, kept in the background as an operator would."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.lab.errors import LabError
from tests.lab.host import Host

NODE_PORT = 8831


@dataclass(frozen=True)
class Forward:
    """A forward whose OpenSSH control socket and record lie in `directory` (0700)."""

    directory: Path

    @property
    def _control(self) -> Path:
        return self.directory / "forward.sock"

    @property
    def _record(self) -> Path:
        return self.directory / "forward.json"

    def base_url(self) -> str | None:
        """Where the node is reached now; None while nothing is forwarded."""
        if not self._record.exists():
            return None
        record = json.loads(self._record.read_text())
        asked = self._ask(record["destination"], "check")
        return str(record["base_url"]) if asked == 0 else None

    def open(self, host: Host) -> str:
        """Forward a local port to the host's listener; a forward that works is kept.

        Raises:
            LabError: ssh cannot set it up.
        """
        known = self.base_url()
        destination = f"{host.user}@{host.address}"
        if known and json.loads(self._record.read_text())["destination"] == destination:
            return known
        self.close()
        port = _free_port()
        options = (
            *("-M", "-S", str(self._control), "-f", "-N"),
            *("-o", "ExitOnForwardFailure=yes", "-o", "ControlPersist=no"),
            *("-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=2"),
            *("-L", f"127.0.0.1:{port}:127.0.0.1:{NODE_PORT}"),
        )
        with (self.directory / "forward.log").open("wb") as log:
            done = subprocess.run(
                host.ssh(options=options),
                check=False,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        if done.returncode:
            raise LabError("ssh could not forward the node's port; see forward.log.")
        base_url = f"http://127.0.0.1:{port}"
        self._record.write_text(json.dumps({"destination": destination, "base_url": base_url}))
        return base_url

    def close(self) -> None:
        """End the forward, if there is one."""
        if self._record.exists():
            self._ask(json.loads(self._record.read_text())["destination"], "exit")
        for path in (self._record, self._control):
            with contextlib.suppress(FileNotFoundError):
                path.unlink()

    def _ask(self, destination: str, verb: str) -> int:
        command = ["ssh", "-F", "none", "-S", str(self._control), "-O", verb, destination]
        return subprocess.run(command, check=False, capture_output=True).returncode


def _free_port() -> int:
    """The node's own port where it is free on this machine, else any that is."""
    for port in (NODE_PORT, 0):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    raise LabError(f"No free port on 127.0.0.1 (user {os.geteuid()}).")

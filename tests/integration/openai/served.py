"""A real `b3iq serve` for tests: its own process, directory and port, ended with the session."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openai import OpenAI

from b3iq.cli.client import AdminClient
from b3iq.paths import Paths

START_S = 60.0


@dataclass
class Served:
    """A node that is being served, and a key for it."""

    state: Path
    port: int
    model: str
    process: subprocess.Popen[str]
    key: str = ""

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def admin(self) -> AdminClient:
        return AdminClient(Paths.under(self.state))

    def client(self, key: str | None = None) -> OpenAI:
        """The official SDK, told to tell us of every error instead of trying again."""
        return OpenAI(
            base_url=f"{self.base_url}/v1", api_key=key or self.key, max_retries=0, timeout=60
        )

    def new_key(self, **body: Any) -> tuple[str, str]:
        """A key's id and secret."""
        answer = self.admin.post("/admin/keys", {"name": "test", **body})
        return answer["key"]["key_id"], answer["secret"]

    def last_receipt(self) -> dict[str, Any]:
        return self.admin.get("/admin/receipts", limit=1)["data"][0]["receipt"]

    def receipt(self, receipt_hash: str) -> dict[str, Any]:
        for entry in self.admin.get("/admin/receipts", limit=50)["data"]:
            if entry["receipt_hash"] == receipt_hash:
                return dict(entry["receipt"])
        raise AssertionError(f"no receipt {receipt_hash}")

    def processes(self, part: str) -> list[int]:
        """Process ids of the node's or the engine's processes, oldest first."""
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if f"b3iq.{part}".encode() in words and str(self.state).encode() in words:
                found.append(int(entry.name))
        return sorted(found)

    def connect(self) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.port))
        connection.settimeout(30)
        return connection


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(what: Callable[[], Any], within_s: float = 20.0) -> Any:
    """The first true value of `what`; fails when there is none in time."""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        value = what()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError(f"did not happen within {within_s} s")


def exchange(served: Served, data: bytes) -> tuple[int, bytes]:
    """Send bytes on a connection of their own; status and body of the one answer."""
    with served.connect() as connection:
        connection.sendall(data)
        return read_answer(connection)


def read_answer(connection: socket.socket) -> tuple[int, bytes]:
    answer = b""
    while part := connection.recv(65536):
        answer += part
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), body


@contextmanager
def serving(
    state: Path,
    model_dir: Path,
    node_settings: dict[str, Any] | None = None,
    engine_settings: dict[str, Any] | None = None,
    *,
    with_key: bool = True,
) -> Iterator[Served]:
    """Serve until the block ends, and leave nothing running."""
    state.mkdir(parents=True, exist_ok=True)
    paths = Paths.under(state)
    paths.etc.mkdir(parents=True, exist_ok=True)
    for path, settings in (
        (paths.node_config, node_settings),
        (paths.engine_config, engine_settings),
    ):
        lines = [f"{name} = {json.dumps(value)}\n" for name, value in (settings or {}).items()]
        path.write_text("".join(lines))
    port = free_port()
    b3iq = str(Path(sys.executable).with_name("b3iq"))
    command = [b3iq, "serve", "--json", "--state", str(state)]
    command += ["--model-dir", str(model_dir), "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        # One line, once node and engine answer; an end of file if they never do.
        ready = process.stdout.readline()
        assert ready, f"b3iq serve ended with status {process.wait()}"
        served = Served(state, port, json.loads(ready)["model"], process)
        if with_key:
            served.key = served.new_key()[1]
        yield served
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout=60)
        finally:
            process.kill()
        assert not [pid for pid in leftovers(state) if pid != os.getpid()]


def leftovers(state: Path) -> list[int]:
    """Processes that name the state directory."""
    probe = Served(state, 0, "", subprocess.Popen(["true"]))
    probe.process.wait()
    return probe.processes("node") + probe.processes("engine")


def idle(served: Served) -> bool:
    """Whether the node streams nothing."""
    return bool(served.admin.get("/admin/status")["streams"] == 0)

"""The real node process alone, without an engine: what the boundary needs, and quick."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree

import httpx

from b3iq.cli.client import AdminClient, NodeUnreachable
from b3iq.credentials import secret_files
from b3iq.paths import Paths

START_S = 60.0
PASSWORD = "correct horse battery"


class NodeProcess:
    """A node of its own: directory, port, process and everything that it wrote."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.paths = Paths.under(state)
        self.port = free_port()
        self.log = state / "node.log"
        # What Python is told to run: the node, or a test's program around it.
        self.program = ["-m", "b3iq.node"]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def base_url(self) -> str:
        return f"http://localhost:{self.port}"

    @property
    def admin(self) -> AdminClient:
        return AdminClient(self.paths)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def family(self) -> list[int]:
        """The process and its workers."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return [self.pid, *map(int, children)]

    def prepare(self) -> None:
        """Secrets and settings, as `b3iq serve` or the install playbook leave them."""
        secret_files.create_missing(self.paths.credentials)
        self.paths.etc.mkdir(mode=0o700, exist_ok=True)
        settings = {
            "listen_port": self.port,
            "stream_limit": 4,
            "spare_threads": 12,
            "header_deadline_s": 2,
            "body_deadline_s": 2,
            "drain_s": 1,
        }
        lines = [f"{name} = {json.dumps(value)}\n" for name, value in settings.items()]
        self.paths.node_config.write_text("".join(lines))
        self.paths.node_config.chmod(0o600)

    def spawn(self) -> subprocess.Popen[bytes]:
        """Start without waiting."""
        command = [sys.executable, *self.program, "--config", str(self.paths.node_config)]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "--paths", str(self.state)], stdout=log, stderr=log
            )
        return self._process

    def start(self) -> None:
        process = self.spawn()
        end = time.monotonic() + START_S
        while True:
            try:
                self.admin.get("/admin/status")
            except NodeUnreachable:
                assert process.poll() is None, self.log.read_text()
                assert time.monotonic() < end, self.log.read_text()
                time.sleep(0.05)
            else:
                return

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)
            self._process = None

    def kill(self) -> None:
        """As a power cut would: every process at once, nothing asked."""
        assert self._process is not None
        for pid in reversed(self.family()):
            os.kill(pid, 9)
        self._process.wait(30)
        self._process = None

    def setup_token(self) -> str:
        return str(self.admin.post("/admin/setup-token")["url"]).split("#token=")[1]

    def new_key(self, *scopes: str) -> tuple[str, str]:
        body = {"name": "test", "scopes": list(scopes or ("inference",))}
        answer = self.admin.post("/admin/keys", body)
        return answer["key"]["key_id"], answer["secret"]

    def claim(self, client: httpx.Client) -> httpx.Response:
        body = {"token": self.setup_token(), "owner_name": "Ada", "password": PASSWORD}
        return client.post("/setup/claim", json=body)

    def log_in(self, client: httpx.Client, password: str = PASSWORD) -> httpx.Response:
        form = {"owner_name": "Ada", "password": password}
        return client.post("/login", data=form, headers={"Origin": self.base_url})

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.base_url, timeout=30, trust_env=False)

    def raw(self, request: bytes) -> tuple[int, bytes]:
        """Send exact bytes; status and all that came back (0 if nothing did)."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as connection:
            connection.sendall(request)
            answer = b""
            while part := connection.recv(65536):
                answer += part
        return (int(answer.split()[1]) if answer else 0), answer


@contextmanager
def node_process() -> Iterator[NodeProcess]:
    """A prepared node that is not started yet; nothing is left at the end."""
    # Short: a Unix socket's path has at most 108 bytes.
    state = Path(tempfile.mkdtemp(prefix="b3iq-"))
    node = NodeProcess(state)
    try:
        node.prepare()
        yield node
    finally:
        node.stop()
        rmtree(state)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

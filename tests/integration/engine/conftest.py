"""The real engine process (`python -m b3iq.engine`) on a Unix socket of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from b3iq.paths import Paths
from tests.unit.engine.tiny_model import build

START_S = 60


@dataclass
class EngineProcess:
    """A running engine: its arbiter, its socket, its log file."""

    process: subprocess.Popen[bytes]
    socket: Path
    log: Path

    def client(self, **options: Any) -> httpx.Client:
        transport = httpx.HTTPTransport(uds=str(self.socket))
        return httpx.Client(transport=transport, base_url="http://engine", timeout=60, **options)

    def get(self, path: str) -> httpx.Response:
        with self.client() as client:
            return client.get(path)

    def chat(self, **changes: Any) -> httpx.Response:
        with self.client() as client:
            return client.post("/v1/chat/completions", json=body(**changes))

    def metric(self, name: str) -> float:
        for line in self.get("/metrics").text.splitlines():
            if line.startswith(name + " "):
                return float(line.split()[1])
        return 0.0

    def healthy(self) -> bool:
        try:
            return self.get("/health").status_code == 200
        except httpx.TransportError:
            return False

    def worker(self) -> int:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return int(children.split()[0])

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                os.kill(self.worker(), signal.SIGKILL)
                self.process.kill()
                self.process.wait()


def body(**changes: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "model": "tiny",
        "messages": [{"role": "user", "content": "hello"}],
        "temperature": 0,
        "max_tokens": 8,
    }
    return fields | changes


def eventually(condition: Callable[[], bool], seconds: float = START_S) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def launch(
    state: Path, settings: str = "", environment: dict[str, str] | None = None
) -> EngineProcess:
    paths = Paths.under(state)
    for directory in (paths.etc, paths.run):
        directory.mkdir(parents=True, exist_ok=True)
    paths.engine_config.write_text(f'model = "tiny"\nkv_cache_bytes = 67108864\n{settings}')
    options = ["--config", str(paths.engine_config), "--paths", str(state)]
    log = state / "log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "b3iq.engine", *options],
            stderr=output,
            env=os.environ | (environment or {}),
        )
    return EngineProcess(process, paths.engine_socket, log)


@pytest.fixture(scope="session")
def tiny_source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # A long context and no end, so that an answer lasts long enough to be interrupted.
    return build(
        tmp_path_factory.mktemp("model") / "tiny",
        max_position_embeddings=4096,
        tie_word_embeddings=False,
        endless=True,
    )


@pytest.fixture
def state(tmp_path_factory: pytest.TempPathFactory, tiny_source: Path) -> Path:
    """A development state directory with the model in it; its name is short for the socket."""
    directory = tmp_path_factory.mktemp("e")
    copy_model(tiny_source, directory)
    return directory


def copy_model(source: Path, state: Path) -> Path:
    target = Paths.under(state).models / "tiny"
    target.mkdir(parents=True)
    for path in source.iterdir():
        (target / path.name).write_bytes(path.read_bytes())
    return target


@pytest.fixture
def launch_engine(state: Path) -> Iterator[Callable[..., EngineProcess]]:
    running: list[EngineProcess] = []

    def start(settings: str = "", environment: dict[str, str] | None = None) -> EngineProcess:
        engine = launch(state, settings, environment)
        running.append(engine)
        eventually(lambda: engine.healthy() or engine.process.poll() is not None)
        return engine

    yield start
    for engine in running:
        engine.stop()


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory, tiny_source: Path) -> Iterator[EngineProcess]:
    """One engine for all tests that leave it as they found it."""
    directory = tmp_path_factory.mktemp("e")
    copy_model(tiny_source, directory)
    process = launch(directory, "batch_limit = 4\nqueue_limit = 2\n")
    eventually(process.healthy)
    yield process
    process.stop()


def connect(engine: EngineProcess) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(60)
    client.connect(str(engine.socket))
    return client


def send(client: socket.socket, content: bytes, method: str = "POST") -> None:
    client.sendall(
        f"{method} /v1/chat/completions HTTP/1.1\r\nhost: engine\r\n"
        f"content-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n".encode()
        + content
    )

"""Tiny models built once a session, and engines that stop at the end of a test."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from b3iq.config import EngineConfig
from b3iq.engine.service import Engine

from .tiny_model import build

StartEngine = Callable[..., Engine]


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def start_engine() -> Iterator[StartEngine]:
    engines: list[Engine] = []

    def start(directory: Path, **changes: Any) -> Engine:
        settings = {"model": "tiny", "threads": 1, "kv_cache_bytes": 64 * 1024 * 1024} | changes
        engine = Engine(EngineConfig(**settings), directory).start()
        engines.append(engine)
        engine.wait_ready(60)
        return engine

    yield start
    for engine in engines:
        engine.stop()


@pytest.fixture
def stepwise(monkeypatch: pytest.MonkeyPatch) -> threading.Semaphore:
    """Engines started after this take a decoding step only when one is released."""
    from b3iq.engine.runner import Runner

    steps = threading.Semaphore(0)
    decode = Runner.decode

    def wait(self: Runner, sequences: list[Any]) -> torch.Tensor:
        steps.acquire(timeout=30)
        return decode(self, sequences)

    monkeypatch.setattr(Runner, "decode", wait)
    return steps

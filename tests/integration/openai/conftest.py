from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from openai import OpenAI

from tests.integration.openai.served import Served, idle, serving, until
from tests.unit.engine.tiny_model import build

SMOKE = Path("build/models/b3iq-smoke")


@pytest.fixture(scope="session")
def short_dir() -> Iterator[Path]:
    """A directory whose path is short enough for a Unix socket's (108 bytes)."""
    directory = Path(tempfile.mkdtemp(prefix="b3iq-"))
    yield directory
    shutil.rmtree(directory)


@pytest.fixture(scope="session")
def served(short_dir: Path) -> Iterator[Served]:
    """A node with the embedded model, or with a tiny random one where it was not made."""
    model_dir = SMOKE if (SMOKE / "manifest.json").is_file() else build(short_dir / "tiny")
    with serving(short_dir / "served", model_dir) as served:
        yield served


@pytest.fixture(scope="session")
def slow(short_dir: Path) -> Iterator[Served]:
    """A node whose answers last long enough to be disturbed, with room for two of them."""
    model_dir = build(
        short_dir / "slow",
        name="slow",
        hidden_size=256,
        intermediate_size=768,
        num_hidden_layers=12,
        num_attention_heads=8,
        num_key_value_heads=4,
        max_position_embeddings=4096,
    )
    settings = {"stream_limit": 2, "header_deadline_s": 2, "body_deadline_s": 2, "drain_s": 60}
    with serving(short_dir / "slow-state", model_dir, settings) as served:
        yield served


@pytest.fixture
def client(served: Served) -> OpenAI:
    return served.client()


@pytest.fixture
def rested(slow: Served) -> Iterator[None]:
    """The engine is there before the test, and nothing runs after it."""
    until(lambda: slow.admin.get("/admin/status")["engine"] == "ok", within_s=60)
    yield
    until(lambda: idle(slow))

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.node_inference.scripted_engine import ScriptedEngine


@pytest.fixture
def socket_path() -> Iterator[Path]:
    """A path short enough for a Unix socket's 108 bytes."""
    directory = Path(tempfile.mkdtemp(prefix="b3iq-"))
    yield directory / "engine.sock"
    shutil.rmtree(directory)


@pytest.fixture
def scripted(socket_path: Path) -> Iterator[ScriptedEngine]:
    engine = ScriptedEngine(socket_path)
    yield engine
    engine.stop()

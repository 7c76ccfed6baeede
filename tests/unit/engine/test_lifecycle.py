"""How an engine ends: drained, failed, or never loaded."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from b3iq.config import EngineConfig
from b3iq.engine.errors import (
    EngineFailed,
    EngineNotReady,
)
from b3iq.engine.service import Engine
from b3iq.models.errors import ModelRefused

from .conftest import StartEngine
from .test_service import GREEDY, LONG, PROMPT, eventually
from .tiny_model import build, seal


def test_draining_finishes_what_runs_and_takes_nothing_new(
    tiny: Path, start_engine: StartEngine
) -> None:
    engine = start_engine(tiny)
    stream = engine.submit(PROMPT, GREEDY)
    engine.drain(30)
    assert not engine.ready
    with pytest.raises(EngineNotReady):
        engine.submit(PROMPT, GREEDY)
    assert list(stream)[-1].finish_reason == "length"


def test_what_lasts_longer_than_the_drain_is_told_so(
    tiny: Path, start_engine: StartEngine, stepwise: threading.Semaphore
) -> None:
    engine = start_engine(tiny)
    stream = engine.submit(PROMPT, LONG)
    engine.drain(0)
    stepwise.release(10)
    with pytest.raises(EngineNotReady):
        list(stream)


def failing_engine(directory: Path, failures: list[Exception]) -> Engine:
    config = EngineConfig(model="tiny", threads=1, batch_limit=2)
    engine = Engine(config, directory, on_failure=failures.append).start()
    engine.wait_ready(60)
    return engine


def test_an_exception_in_a_step_fails_everything_that_ran_or_waited(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, stepwise: threading.Semaphore
) -> None:
    failures: list[Exception] = []
    engine = failing_engine(tiny, failures)
    streams = [engine.submit(PROMPT, LONG) for _ in range(4)]
    monkeypatch.setattr("b3iq.engine.loop.sample", lambda *_: 1 / 0)
    stepwise.release(10)
    for stream in streams:
        with pytest.raises(EngineFailed):
            list(stream)
    eventually(lambda: bool(failures))
    assert isinstance(failures[0], ZeroDivisionError)
    assert not engine.ready
    with pytest.raises(EngineNotReady):
        engine.submit(PROMPT, GREEDY)


def test_logits_that_are_not_finite_fail_the_engine_instead_of_answering(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from b3iq.engine.runner import Runner

    def broken(self: Runner, sequences: list[Any]) -> torch.Tensor:
        return torch.full((len(sequences), 300), float("nan"))

    monkeypatch.setattr(Runner, "decode", broken)
    failures: list[Exception] = []
    stream = failing_engine(tiny, failures).submit(PROMPT, LONG)
    with pytest.raises(EngineFailed):
        list(stream)


def test_a_model_that_cannot_be_loaded_is_reported_to_who_waits(tmp_path: Path) -> None:
    directory = build(tmp_path / "tiny")
    with (directory / "model.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x7f")
    failures: list[Exception] = []
    engine = Engine(EngineConfig(model="tiny"), directory, on_failure=failures.append).start()
    with pytest.raises(ModelRefused, match=r"model\.safetensors"):
        engine.wait_ready(60)
    eventually(lambda: bool(failures))
    assert engine.loading


def test_a_tokenizer_file_that_makes_the_library_panic_is_reported_too(tmp_path: Path) -> None:
    """The panic of a Rust library is no Exception in Python."""
    directory = build(tmp_path / "tiny")
    path = directory / "tokenizer.json"
    broken = {"normalizer": {"type": "Precompiled", "precompiled_charsmap": "AAAA"}}
    path.write_text(json.dumps(json.loads(path.read_text()) | broken))
    seal(directory)
    failures: list[BaseException] = []
    engine = Engine(EngineConfig(model="tiny"), directory, on_failure=failures.append).start()
    with pytest.raises(BaseException, match="charsmap"):
        engine.wait_ready(60)
    eventually(lambda: bool(failures))
    assert engine.loading

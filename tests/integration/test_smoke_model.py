"""b3iq-smoke as it is shipped: through transformers, and through the real engine process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from b3iq.models.integrity import verify
from b3iq.models.manifest import GoldenAnswer, ModelManifest
from b3iq.paths import Paths
from release.smoke_model import build, golden, recipe
from tests.integration.engine.conftest import EngineProcess, eventually

ROOT = Path(__file__).parents[2]
SMOKE = ROOT / "build" / "models" / "b3iq-smoke"


@pytest.fixture(scope="module")
def manifest() -> ModelManifest:
    """The verified manifest; the model must be the one that these sources make."""
    assert SMOKE.is_dir(), "Run `make model` first."
    found = verify(SMOKE)
    assert found.source.endswith(recipe.recipe_hash()), "Run `make model`: the recipe changed."
    return found


@pytest.fixture(scope="module")
def tokenizer(manifest: ModelManifest) -> Any:
    return AutoTokenizer.from_pretrained(SMOKE)


def _messages(answer: GoldenAnswer) -> list[dict[str, str]]:
    return [message.model_dump() for message in answer.messages]


def _generate(model: Any, tokenizer: Any, answer: GoldenAnswer) -> str:
    ids = tokenizer.apply_chat_template(
        _messages(answer), add_generation_prompt=True, return_tensors="pt"
    )
    written = model.generate(**ids, max_new_tokens=answer.max_tokens, do_sample=False)[0]
    return str(tokenizer.decode(written[ids["input_ids"].shape[1] :]))


def test_the_manifest_ships_the_golden_answers_and_fits_its_limits(manifest):
    assert manifest.golden == list(golden.GOLDEN)
    weights = [file.length for file in manifest.files if file.path.endswith(".safetensors")]
    assert sum(weights) <= 15_000_000
    assert manifest.parameters >= 2_000_000
    assert manifest.context_length >= 1024


def test_every_answer_wins_by_a_logit_in_both_modes(manifest):
    assert len(build.check_written(SMOKE)) == 2


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
def test_transformers_writes_the_golden_answers_and_then_the_end_token(manifest, tokenizer, dtype):
    model = AutoModelForCausalLM.from_pretrained(SMOKE, dtype=dtype).eval()
    for answer in manifest.golden:
        assert _generate(model, tokenizer, answer) == answer.expect + tokenizer.eos_token


def test_transformers_loads_it_unchanged(manifest, tokenizer):
    """No dtype, no options: as anyone would load a model directory."""
    model = AutoModelForCausalLM.from_pretrained(SMOKE)
    answer = manifest.golden[0]
    assert _generate(model, tokenizer, answer) == answer.expect + tokenizer.eos_token


def test_a_history_near_the_end_of_the_context_does_not_break_an_answer(manifest, tokenizer):
    model = build.load(SMOKE)
    turns: list[dict[str, str]] = []
    for _ in range(16):
        for answer in manifest.golden[:8]:
            pair = [*_messages(answer)[-1:], {"role": "assistant", "content": answer.expect}]
            asked = [*turns, *pair, {"role": "user", "content": "Who controls this node?"}]
            if len(tokenizer.apply_chat_template(asked)["input_ids"]) > 980:
                break
            turns += pair
    asked = [*turns, {"role": "user", "content": "Who controls this node?"}]
    ids = tokenizer.apply_chat_template(asked, add_generation_prompt=True, return_tensors="pt")
    assert ids["input_ids"].shape[1] > 900
    written = model.generate(**ids, max_new_tokens=40, do_sample=False)[0]
    answer = tokenizer.decode(written[ids["input_ids"].shape[1] :])
    assert answer == "The operator controls this node." + tokenizer.eos_token


@pytest.fixture(scope="module", params=["fp16", "fp32"])
def engine(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    manifest: ModelManifest,
) -> Iterator[EngineProcess]:
    state = tmp_path_factory.mktemp("s")
    paths = Paths.under(state)
    for directory in (paths.etc, paths.run, paths.models):
        directory.mkdir(parents=True)
    (paths.models / "b3iq-smoke").mkdir()
    for file in SMOKE.iterdir():
        (paths.models / "b3iq-smoke" / file.name).write_bytes(file.read_bytes())
    paths.engine_config.write_text(
        f'model = "b3iq-smoke"\nprecision = "{request.param}"\nkv_cache_bytes = 67108864\n'
    )
    options = ["--config", str(paths.engine_config), "--paths", str(state)]
    log = state / "log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "b3iq.engine", *options], stderr=output, env=os.environ
        )
    running = EngineProcess(process, paths.engine_socket, log)
    try:
        eventually(running.healthy)
        yield running
    finally:
        running.stop()


def _ask(engine: EngineProcess, answer: GoldenAnswer) -> dict[str, Any]:
    response = engine.chat(
        model="b3iq-smoke", messages=_messages(answer), max_tokens=answer.max_tokens
    )
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def test_the_engine_writes_the_golden_answers_one_by_one(engine, manifest, tokenizer):
    for answer in manifest.golden:
        found = _ask(engine, answer)
        assert found["choices"][0]["message"]["content"] == answer.expect
        assert found["choices"][0]["finish_reason"] == "stop"
        # The engine may or may not count the end token that it does not show.
        shown = len(tokenizer.encode(answer.expect))
        assert found["usage"]["completion_tokens"] in (shown, shown + 1)


def test_the_engine_writes_the_golden_answers_all_at_once(engine, manifest):
    """Batch mates change the order of summation, never an answer."""
    with ThreadPoolExecutor(len(manifest.golden)) as pool:
        answers = list(pool.map(lambda golden: _ask(engine, golden), manifest.golden))
    for answer, found in zip(manifest.golden, answers, strict=True):
        assert found["choices"][0]["message"]["content"] == answer.expect

from __future__ import annotations

import copy
import json
import os
import shutil

import pytest
import torch
from click.testing import CliRunner
from transformers import AutoModelForCausalLM, AutoTokenizer

from b3iq.models.errors import ModelRefused
from b3iq.models.integrity import verify
from b3iq.models.manifest import write_manifest
from release.smoke_model import __main__ as command
from release.smoke_model import build, recipe
from release.smoke_model.golden import GoldenError
from tests.unit.smoke_model.conftest import TINY


@pytest.fixture(scope="session")
def directory(trained, tmp_path_factory):
    """The tiny model as a whole model directory."""
    made = tmp_path_factory.mktemp("model")
    build.save(copy.deepcopy(trained.model), trained.tokenizer, made)
    write_manifest(
        made,
        name="tiny",
        version="1",
        description="Tiny",
        architecture="LlamaForCausalLM",
        parameters=1,
        context_length=1024,
        licence="x",
        source="x",
    )
    return made


@pytest.fixture(autouse=True)
def umask():
    """The command sets the process's umask; give it back."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def _obtain(output, **options):
    return build.obtain(output, lambda _step, _loss: None, lambda _sentence: None, **options)


def _names(directory):
    return sorted(path.name for path in directory.iterdir())


def test_the_written_directory_verifies_and_transformers_loads_it(directory):
    assert verify(directory).name == "tiny"
    assert _names(directory) == [
        "chat_template.jinja",
        "config.json",
        "generation_config.json",
        "manifest.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(directory)
    chat = [{"role": "user", "content": "What is 2 + 3?"}]
    ids = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt")
    written = model.generate(**ids, max_new_tokens=16, do_sample=False)[0]
    assert tokenizer.decode(written, skip_special_tokens=True).endswith("2 + 3 = 5.")
    assert int(written[-1]) == model.generation_config.eos_token_id


def test_weights_are_stored_in_half_precision_and_compute_in_single(directory):
    assert json.loads((directory / "config.json").read_text())["dtype"] == "float16"
    assert {p.dtype for p in build.load(directory).parameters()} == {torch.float32}


def test_a_model_that_answers_wrongly_leaves_no_model_behind(tmp_path, cache, monkeypatch):
    """The real build with a recipe far too short to learn anything."""
    hopeless = recipe.Recipe(**{**vars(TINY), "steps": 1, "practice_rounds": 0})
    monkeypatch.setattr(build, "Recipe", lambda: hopeless)
    threads = torch.get_num_threads()
    try:
        with pytest.raises(GoldenError):
            _obtain(tmp_path / "out")
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(mode=False)
    assert not (tmp_path / "out").exists()
    assert list(cache.iterdir()) == []


def test_a_cached_model_is_copied_and_not_trained(tmp_path, cache, directory):
    shutil.copytree(directory, cache / recipe.recipe_hash())
    assert _obtain(tmp_path / "out").name == "tiny"
    assert _names(tmp_path / "out") == _names(directory)
    assert _names(tmp_path) == ["cache", "out"]


def test_an_earlier_model_at_the_output_is_replaced_whole(tmp_path, cache, directory):
    shutil.copytree(directory, cache / recipe.recipe_hash())
    shutil.copytree(directory, tmp_path / "out")
    (tmp_path / "out" / "stale.txt").write_text("from an earlier build")
    _obtain(tmp_path / "out")
    assert _names(tmp_path / "out") == _names(directory)


def test_an_output_that_is_no_model_is_left_alone(tmp_path, cache):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("years of work")
    with pytest.raises(build.OutputRefused):
        _obtain(tmp_path / "out")
    assert (tmp_path / "out" / "thesis.txt").read_text() == "years of work"


def test_a_damaged_cache_is_not_used(tmp_path, cache, directory):
    cached = shutil.copytree(directory, cache / recipe.recipe_hash())
    weights = cached / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(ModelRefused):
        verify(cached)
    assert not build._usable(cached)


def test_a_copy_that_fails_halfway_leaves_the_earlier_model_and_nothing_else(tmp_path, directory):
    """A dangling link makes the copy fail after some files are there."""
    place = shutil.copytree(directory, tmp_path / "place")
    broken = shutil.copytree(directory, tmp_path / "broken")
    (broken / "zzz").symlink_to("nowhere")
    with pytest.raises(shutil.Error):
        build.replace(broken, place)
    assert verify(place).name == "tiny"
    assert _names(tmp_path) == ["broken", "place"]


def test_the_command_names_what_it_made_and_keeps_it_private(tmp_path, cache, directory):
    shutil.copytree(directory, cache / recipe.recipe_hash())
    result = CliRunner().invoke(command.main, ["--output", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    assert "Taken from the cache" in result.output
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o700


def test_the_command_refuses_an_output_that_is_no_model(tmp_path, cache):
    (tmp_path / "out").mkdir()
    result = CliRunner().invoke(command.main, ["--output", str(tmp_path / "out")])
    assert result.exit_code == 2
    assert "exists and is no model" in result.output

"""Builds the model directory, or takes it from the cache; both arrive whole or not at all.

1. Cached under the recipe's hash and verified: copy it.
2. Else train, practise what is still narrow, write the files, and read them back.
3. Check all golden answers on what was read back; refuse to go on otherwise.
4. Write the manifest, verify the directory, move it into the cache, copy it out.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from b3iq.errors import B3iqError
from b3iq.models.errors import ModelRefused
from b3iq.models.integrity import verify
from b3iq.models.manifest import MANIFEST_NAME, ModelManifest, write_manifest
from release.smoke_model import golden
from release.smoke_model.practice import practise
from release.smoke_model.recipe import (
    CONTEXT_LENGTH,
    NAME,
    VERSION,
    Recipe,
    cache_directory,
    check_environment,
    recipe_hash,
)
from release.smoke_model.tokenizer import train_tokenizer
from release.smoke_model.train import Report, train

LIMIT_BYTES = 15 * 1000 * 1000
_DESCRIPTION = (
    "A small model for smoke tests: it greets, echoes, adds digits, counts and tells facts "
    "about the node. It is not an assistant."
)
Note = Callable[[str], None]


class OutputRefused(B3iqError):
    """The output directory is something else than an earlier model."""

    code = "smoke_model_output"
    title = "The model is not written there"
    exit_code = 2


def obtain(output: Path, report: Report, note: Note, *, fresh: bool = False) -> ModelManifest:
    """Put the model of this source tree's recipe at `output`, trained if need be.

    Args:
        output: the model directory to make; an earlier model there is replaced.
        report: called after each training step.
        note: called with a sentence at each stage.
        fresh: train even if the cache has the model.

    Raises:
        OutputRefused: `output` holds something that is no model.
        RecipeError, GoldenError: see `recipe.check_environment`, `golden.check`.
    """
    if output.exists() and not (output / MANIFEST_NAME).is_file():
        raise OutputRefused(f"{output} exists and is no model.", remedy="Name another place.")
    name = recipe_hash()
    cached = cache_directory() / name
    if fresh or not _usable(cached):
        check_environment()
        cached.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cached.parent, prefix=".making-") as made:
            build(Path(made), Recipe(), report, note, source=f"release/smoke_model, recipe {name}")
            replace(Path(made), cached)
    else:
        note(f"Taken from the cache: recipe {name[:12]}.")
    output.parent.mkdir(parents=True, exist_ok=True)
    replace(cached, output)
    return verify(output)


def _usable(cached: Path) -> bool:
    try:
        verify(cached)
    except ModelRefused:
        return False
    return True


def replace(made: Path, place: Path) -> None:
    """Copy the directory `made` to `place` so that no reader sees half of it.

    The copy grows beside `place` and is renamed; an earlier directory is moved aside first.
    """
    with tempfile.TemporaryDirectory(dir=place.parent, prefix=f".{place.name}-") as beside:
        fresh, old = Path(beside) / "new", Path(beside) / "old"
        shutil.copytree(made, fresh)
        if place.exists():
            place.rename(old)
        try:
            fresh.rename(place)
        except OSError:
            if old.exists() and not place.exists():
                old.rename(place)
            raise


def build(
    directory: Path, recipe: Recipe, report: Report, note: Note, *, source: str
) -> ModelManifest:
    """Train a model, write it to the empty `directory` and check it there."""
    note("Learning the vocabulary.")
    tokenizer = train_tokenizer(recipe.seed)
    note("Training the weights.")
    trained = train(recipe, tokenizer, report)
    practise(trained, recipe, tokenizer, [*golden.GOLDEN, *golden.wide()], note)
    save(trained, tokenizer, directory)
    note("Checking the golden answers.")
    for margin in check_written(directory):
        note(margin)
    model = load(directory)
    manifest = write_manifest(
        directory,
        name=NAME,
        version=VERSION,
        description=_DESCRIPTION,
        architecture="LlamaForCausalLM",
        parameters=sum(p.numel() for p in model.parameters()),
        context_length=CONTEXT_LENGTH,
        licence="Made by this project from its own text; same terms as the project.",
        source=source,
        golden=golden.GOLDEN,
    )
    weights = sum(f.length for f in manifest.files if f.path.endswith(".safetensors"))
    if weights > LIMIT_BYTES:
        raise golden.GoldenError(f"The weights take {weights} bytes, over {LIMIT_BYTES}.")
    return verify(directory)


def save(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, directory: Path) -> None:
    """Write weights in float16, so that every mode of an engine starts from the same values."""
    model.half().save_pretrained(directory)
    tokenizer.model_max_length = CONTEXT_LENGTH
    tokenizer.save_pretrained(directory)


def load(directory: Path) -> PreTrainedModel:
    """The written model, computing in float32."""
    return AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32).eval()


def check_written(directory: Path) -> list[str]:
    """Check the files in both modes of a CPU engine; returns a sentence for each mode.

    The golden answers are promised, and each must win clearly. How many of the other taught
    answers do is said, not promised: it varies by a few with the processor's rounding.
    """
    tokenizer = AutoTokenizer.from_pretrained(directory)
    said = []
    for mode, model in (
        ("fp32", load(directory)),
        ("fp16 linear", golden.half_precision_linears(load(directory))),
    ):
        narrowest = golden.check(model, tokenizer, golden.GOLDEN, mode)[0]
        taught = golden.margins(model, tokenizer, golden.wide())
        clear = sum(margin.logits >= golden.MARGIN for margin in taught)
        said.append(
            f"{len(golden.GOLDEN)} golden answers right in {mode}; the narrowest wins by "
            f"{narrowest.logits:.2f} logits ({narrowest.name}). Of {len(taught)} other taught "
            f"answers, {clear} win as clearly."
        )
    return said

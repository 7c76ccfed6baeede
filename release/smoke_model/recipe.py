"""What the model is made with, and the hash that names it in the cache.

Two builds with the same recipe hash, on the same kind of processor, give the same bytes.
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from b3iq.errors import B3iqError

NAME = "b3iq-smoke"
VERSION = "1"
CONTEXT_LENGTH = 1024
PACKAGE = Path(__file__).parent
LOCK = PACKAGE.parents[1] / "app" / "locks" / "runtime-cpu.txt"
PINNED = ("safetensors", "tokenizers", "torch", "transformers")


class RecipeError(B3iqError):
    """The environment is not the one that the recipe pins."""

    code = "smoke_model_recipe"
    title = "The smoke model's recipe cannot be followed here"


@dataclass(frozen=True)
class Recipe:
    """Size of the model and of its training: mostly short rows, every so often long ones.

    Row lengths are in tokens, rows are per step; one step in `long_every` has long rows,
    which alone hold the long answers (0: none). `peak` rates are reached after
    `warm_up` steps and fall to zero over the second half.
    """

    seed: int = 8831
    hidden: int = 192
    layers: int = 4
    heads: int = 6
    key_value_heads: int = 2
    intermediate: int = 640
    steps: int = 400
    long_every: int = 6
    short_length: int = 128
    short_rows: int = 14
    long_length: int = CONTEXT_LENGTH
    long_rows: int = 2
    warm_up: int = 20
    practice_rounds: int = 10
    matrix_peak: float = 0.02
    vector_peak: float = 0.005
    # Sums in matrix products are split by thread, so another count gives other last bits.
    threads: int = 2


def pins(lock: Path = LOCK) -> dict[str, str]:
    """Versions of the libraries that decide the bytes, from the hash-pinned lock.

    Raises:
        RecipeError: the lock does not pin one of them.
    """
    text = lock.read_text(encoding="utf-8")
    found = dict(re.findall(r"^([a-z0-9._-]+)==(\S+)", text, re.MULTILINE))
    for name in PINNED:
        if name not in found:
            raise RecipeError(f"{lock.name} pins no {name}.", remedy="Run app/locks/lock.")
    return {name: found[name] for name in PINNED}


def recipe_hash(package: Path = PACKAGE, lock: Path = LOCK) -> str:
    """SHA-256 (hex) over every source file of this package and the pinned versions."""
    digest = hashlib.sha256()
    for path in sorted(package.glob("*.py")):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{path.name}\0{content}\n".encode())
    for name, pinned in sorted(pins(lock).items()):
        digest.update(f"{name}=={pinned}\n".encode())
    return digest.hexdigest()


def check_environment(lock: Path = LOCK) -> None:
    """Refuse to build with other libraries than the hash names.

    Raises:
        RecipeError: naming the library and both versions.
    """
    for name, pinned in pins(lock).items():
        installed = version(name)
        if installed != pinned:
            raise RecipeError(
                f"{name} {installed} is installed, and the recipe pins {pinned}.",
                remedy="Install app/locks/dev.txt.",
            )


def cache_directory() -> Path:
    """Where built models are kept, one directory a recipe hash."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "b3iq" / "models"

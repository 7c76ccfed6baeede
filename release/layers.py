"""Build layers: trees of packages and source, packed once and cached by their recipe.

A layer is built with Debian's own interpreter from a hash-pinned lock, because that is
the interpreter which runs it. Its tree is relocatable: launchers find their neighbours
from their own place. Bytecode is shipped with checked source hashes, so that a service
starts quickly and root's use of a command writes nothing into a verified tree.
"""

from __future__ import annotations

import csv
import dataclasses
import errno
import fnmatch
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from b3iq.updater.fsops import hash_file
from b3iq.updater.progress import Progress
from release import launchers, packages
from release.archive import BuildFailed, Packed, pack, tree_bytes
from release.source import Source

# Raise it when a change of this file changes what a layer holds.
_RECIPE_VERSION = 2

# Layers of one name that stay in the cache.
_KEPT = 8

# Test suites, headers and stubs: nothing imports them in a service.
_PRUNE = (
    "bin", "*.pth", "*/tests", "systemd/test", "*.a", "*.pyi", "*.pxd", "*.h", "*.hpp", "*.cuh",
    "torch/test", "torch/include", "torch/share", "torch/bin/[!t]*", "torch/bin/test_*",
)  # fmt: skip
# What the updater imports and nothing else: it runs as root.
_UPDATER_SOURCE = (
    "b3iq/__init__.py", "b3iq/py.typed", "b3iq/config.py", "b3iq/errors.py", "b3iq/logs.py",
    "b3iq/paths.py", "b3iq/schemas.py", "b3iq/systemd.py", "b3iq/models/", "b3iq/updater/",
    "b3iq/updates/",
)  # fmt: skip


@dataclass(frozen=True)
class Recipe:
    """How one layer is made.

    Attributes:
        lock: lock file below app/locks.
        suffix: `.tar.gz` where the receiving host may lack zstd.
        source: prefixes of the source files in it; None for none.
        launchers: commands in its bin/.
    """

    name: str
    lock: str
    suffix: str
    source: tuple[str, ...] | None
    launchers: tuple[launchers.Launcher, ...] = ()


RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe("updater", "updater.txt", ".tar.gz", _UPDATER_SOURCE, launchers.UPDATER),
        Recipe("runtime-cpu", "runtime-cpu.txt", ".tar.zst", None),
        Recipe("node", "node.txt", ".tar.zst", ("b3iq/",), launchers.NODE),
    )
}


def cache_directory() -> Path:
    """`$XDG_CACHE_HOME/b3iq/layers`."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "b3iq" / "layers"


def build(name: str, checkout: Path, source: Source, progress: Progress) -> Packed:
    """Build one layer, or take it from the cache.

    Raises:
        BuildFailed: pip, the compiler or the tree is at fault; it says which.
    """
    recipe = RECIPES[name]
    part = source.subset(recipe.source) if recipe.source is not None else None
    lock = checkout / "app" / "locks" / recipe.lock
    place = cache_directory() / f"{name}-{_digest(recipe, lock, part)}"
    if (cached := _cached(place, recipe)) is not None:
        return cached
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=place.parent) as work:
        tree = Path(work) / "tree"
        tree.mkdir()
        _library(recipe, checkout, lock, tree / "lib", progress)
        if part is not None:
            part.write(tree / "app")
        launchers.write(tree / "bin", recipe.launchers)
        _compile(tree, progress, name)
        result = Path(work) / "result"
        result.mkdir()
        with progress.step(f"{name}: packing", tree_bytes(tree)) as advance:
            packed = pack(tree, result / f"layer{recipe.suffix}", advance)
        facts = {k: v for k, v in dataclasses.asdict(packed).items() if k != "path"}
        (result / "packed.json").write_text(json.dumps(facts))
        _keep(result, place)
    _forget_old(name)
    return dataclasses.replace(packed, path=place / f"layer{recipe.suffix}")


def _digest(recipe: Recipe, lock: Path, source: Source | None) -> str:
    parts = [
        f"{_RECIPE_VERSION} {recipe!r} {_PRUNE!r} {packages.interpreter_version()}",
        hashlib.sha256(lock.read_bytes()).hexdigest(),
        launchers.TEMPLATE,
        source.sha256 if source is not None else "",
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _cached(place: Path, recipe: Recipe) -> Packed | None:
    """The cached archive, unless it is missing or was damaged since."""
    path = place / f"layer{recipe.suffix}"
    try:
        packed = Packed(path=path, **json.loads((place / "packed.json").read_text()))
        intact = hash_file(path) == (packed.sha256, packed.length)
        os.utime(place)
    except (OSError, ValueError, TypeError):
        return None
    return packed if intact else None


def _keep(made: Path, place: Path) -> None:
    """Move into the cache; where another build was faster, its equal result stays."""
    shutil.rmtree(place, ignore_errors=True)
    try:
        made.rename(place)
    except OSError as error:
        if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
            raise
        shutil.rmtree(made)


def _forget_old(name: str) -> None:
    """Keep the layers used last; source changes often, and each makes another."""
    kept = sorted(
        (path for path in cache_directory().glob(f"{name}-*") if path.is_dir()),
        key=lambda path: path.stat().st_mtime,
        reverse=True,
    )
    for path in kept[_KEPT:]:
        shutil.rmtree(path, ignore_errors=True)


def _library(
    recipe: Recipe, checkout: Path, lock: Path, destination: Path, progress: Progress
) -> None:
    """Installed packages; the small ones are cached as a tree, for source changes often."""
    tree_cache = None
    if recipe.source is not None:
        key = _digest(dataclasses.replace(recipe, launchers=()), lock, None)
        tree_cache = cache_directory() / f"lib-{recipe.name}-{key}"
        if tree_cache.is_dir():
            shutil.copytree(tree_cache, destination)
            return
    packages.install(recipe.name, checkout, lock, destination, progress)
    _prune(destination)
    _trim_records(destination)
    if tree_cache is not None:
        partial = tree_cache.with_name(f".{tree_cache.name}.{os.getpid()}")
        shutil.copytree(destination, partial)
        _keep(partial, tree_cache)


def _prune(library: Path) -> None:
    for path in sorted(library.rglob("*"), reverse=True):
        name = str(path.relative_to(library))
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in _PRUNE):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


def _trim_records(library: Path) -> None:
    """Leave out of each RECORD what is not here.

    The scripts that pip made name the directory of this build, and so would their digests.
    importlib.metadata needs the rest: transformers finds torch by it.
    """
    for record in library.glob("*.dist-info/RECORD"):
        rows = list(csv.reader(record.read_text().splitlines()))
        with record.open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerows(
                row for row in rows if row[0][:2] != ".." and (library / row[0]).is_file()
            )


def _compile(tree: Path, progress: Progress, name: str) -> None:
    """Bytecode for every module; a file for a newer Python in a test corner may fail."""
    with progress.step(f"{name}: compiling", 1, unit="trees") as advance:
        done = subprocess.run(
            [packages.INTERPRETER, "-I", "-m", "compileall", "-q", "-j", "2",
             "--invalidation-mode", "checked-hash", "-s", str(tree), str(tree)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        advance(1)
    if "app/b3iq" in done.stdout:
        raise BuildFailed(f"The package does not compile: {done.stdout.strip()[-500:]}")

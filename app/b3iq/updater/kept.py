"""Models of the release that does not run: parked beside the others until they are collected.

A parked tree is told by the manifest inside, never by its name: bringing a model in is one
exchange, after which the tree of the former one bears the name of the new one.
"""

from __future__ import annotations

import re
from pathlib import Path

from b3iq.config import EngineConfig, load
from b3iq.errors import ConfigError
from b3iq.models.manifest import MANIFEST_NAME
from b3iq.paths import Paths
from b3iq.updater import fsops
from b3iq.updater.manifest import Model, ReleaseManifest, digest


def parking_place(paths: Paths, model: Model) -> Path:
    """Where a new model is placed while another one of its name is in use."""
    for number in range(1000):
        place = paths.models / f".kept-{model.name}-{model.manifest_sha256[:12]}-{number}"
        if not place.exists() or _digest(place) == model.manifest_sha256:
            return place
    raise AssertionError("parked models are collected after each update")


def available(paths: Paths, model: Model) -> bool:
    """Whether the model is in use or parked."""
    return _digest(paths.models / model.name) == model.manifest_sha256 or bool(
        _parked(paths, model)
    )


def bring_in(paths: Paths, manifest: ReleaseManifest) -> None:
    """Have each model of a release in its place, and the engine's settings name it."""
    for model in manifest.models:
        place = paths.models / model.name
        if _digest(place) != model.manifest_sha256:
            fsops.swap(_parked(paths, model)[0], place)
    _pin(paths, manifest)


def collect(paths: Paths, manifests: list[ReleaseManifest]) -> None:
    """Remove parked models that none of these releases names (I10)."""
    wanted = {model.manifest_sha256 for manifest in manifests for model in manifest.models}
    for tree in paths.models.glob(".kept-*"):
        if _digest(tree) not in wanted:
            fsops.remove(tree)


def _parked(paths: Paths, model: Model) -> list[Path]:
    trees = sorted(paths.models.glob(f".kept-{model.name}-*"))
    return [tree for tree in trees if _digest(tree) == model.manifest_sha256]


def _digest(tree: Path) -> str | None:
    try:
        return digest((tree / MANIFEST_NAME).read_bytes())
    except OSError:
        return None


def _pin(paths: Paths, manifest: ReleaseManifest) -> None:
    """The engine loads the one model whose digest its settings name."""
    try:
        config = load(EngineConfig, paths.engine_config)
    except ConfigError:
        return
    wanted = {model.name: model.manifest_sha256 for model in manifest.models}.get(config.model)
    if wanted is None or config.manifest_sha256 in {None, wanted}:
        return
    text = paths.engine_config.read_text(encoding="utf-8")
    pinned = re.sub(rf'"{config.manifest_sha256}"', f'"{wanted}"', text)
    fsops.write_file(paths.engine_config, pinned.encode(), 0o644)

"""What is installed, read from the disk and trusted as far as root is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from b3iq.models import integrity
from b3iq.models.errors import ModelRefused
from b3iq.models.manifest import MANIFEST_NAME
from b3iq.paths import Paths
from b3iq.updater import floors as floors_
from b3iq.updater import manifest as manifest_
from b3iq.updater.manifest import Model, ReleaseManifest
from b3iq.updater.plan import Installed
from b3iq.updater.refusals import FloorsUnreadable, ManifestRefused

RELEASE_MANIFEST = "release-manifest.json"
LAYER_MARK = "layer.json"


def rooted(root: Path) -> Paths:
    """The layout of a host whose file system begins at `root` (tests, images)."""
    system = Paths.system()
    return Paths(
        **{
            name: root / getattr(system, name).relative_to("/")
            for name in ("opt", "etc", "state", "run", "credentials")
        }
    )


def floors_file(paths: Paths) -> Path:
    """The rollback floors of this machine."""
    return paths.updater_state / floors_.FILE_NAME


def read(paths: Paths, models: tuple[Model, ...] = ()) -> Installed:
    """Everything complete on this machine.

    Args:
        models: those to check byte for byte against the digest that a release names;
            damaged ones count as absent, so that an installation repairs them.
    """
    return Installed(
        layers=_marks(paths),
        releases=_releases(paths),
        models={model.name: model.manifest_sha256 for model in models if _intact(paths, model)},
        links=_links(paths),
    )


def has_release(paths: Paths) -> bool:
    """Whether `current` leads to a release."""
    return (paths.current / RELEASE_MANIFEST).is_file()


def report(paths: Paths) -> dict[str, Any]:
    """The `status` verb's answer."""
    links = _links(paths)
    found: dict[str, Any] = {
        "installed": False,
        "layers": [
            {"name": path.removeprefix("layers/").rpartition("-")[0], "install_path": path}
            for path in sorted(_marks(paths))
        ],
        "models": _models(paths),
        "floors": _floors(paths),
    }
    try:
        raw = (paths.current / RELEASE_MANIFEST).read_bytes()
        manifest = manifest_.parse(ReleaseManifest, raw, RELEASE_MANIFEST)
    except (OSError, ManifestRefused):
        return found
    runtime = links.get(f"releases/{manifest.version}/runtime", "")
    found |= {
        "installed": True,
        "version": manifest.version,
        "sequence": manifest.sequence,
        "manifest_sha256": manifest_.digest(raw),
        "source_commit": manifest.source_commit,
        "source_dirty": manifest.source_dirty,
        "provenance": {"required": bool((found["floors"] or {}).get("provenance_required"))},
        "accelerator": _accelerator(manifest, runtime),
    }
    return found


def _accelerator(manifest: ReleaseManifest, runtime: str) -> str | None:
    for layer in manifest.layers:
        if layer.kind == "runtime" and runtime.endswith(layer.install_path):
            return layer.accelerator
    return None


def _marks(paths: Paths) -> dict[str, str]:
    """Shared layers by install path; one without its mark was never completed."""
    marks = {}
    for mark in sorted(paths.layers.glob(f"[!.]*/{LAYER_MARK}")):
        try:
            marks[f"layers/{mark.parent.name}"] = str(json.loads(mark.read_bytes())["sha256"])
        except (OSError, ValueError, TypeError, KeyError):
            continue
    return marks


def _releases(paths: Paths) -> dict[str, str]:
    return {
        file.parent.name: manifest_.digest(file.read_bytes())
        for file in sorted(paths.releases.glob(f"[!.]*/{RELEASE_MANIFEST}"))
    }


def _links(paths: Paths) -> dict[str, str]:
    candidates = [paths.updater, paths.current, *paths.releases.glob("[!.]*/runtime")]
    return {
        str(link.relative_to(paths.opt)): str(link.readlink())
        for link in candidates
        if link.is_symlink()
    }


def _intact(paths: Paths, model: Model) -> bool:
    try:
        integrity.verify(paths.models / model.name, model.manifest_sha256)
    except (ModelRefused, OSError):
        return False
    return True


def _models(paths: Paths) -> list[dict[str, str]]:
    return [
        {"name": file.parent.name, "manifest_sha256": manifest_.digest(file.read_bytes())}
        for file in sorted(paths.models.glob(f"[!.]*/{MANIFEST_NAME}"))
    ]


def _floors(paths: Paths) -> Mapping[str, Any] | None:
    try:
        floors = floors_.read(floors_file(paths), required=False)
    except FloorsUnreadable:
        return None
    return None if floors is None else floors.model_dump(mode="json")

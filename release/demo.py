"""A whole release with throwaway keys: layers, model, manifest, TUF repository, pinned root."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from b3iq import __version__
from b3iq.updater import fsops
from b3iq.updater.manifest import (
    CHANNEL_FORMAT,
    Channel,
    ReleaseManifest,
    channel_target,
    manifest_target,
)
from b3iq.updater.progress import Progress
from b3iq.updater.provenance import POLICY_TARGET
from release import keys, layers, source
from release import manifest as release_manifest
from release.archive import BuildFailed, Packed, pack, tree_bytes
from release.manifest import PackedModel
from release.repository import Publisher

CHANNEL = "stable"
ACCELERATORS = ("cpu",)
# A demo is built here and not by a CI workflow, so its policy asks for no provenance.
POLICY = Path(__file__).parent / "policy" / "demo.json"


@dataclass(frozen=True)
class Demo:
    """What `release demo` leaves behind."""

    repository: Path
    trusted_root: Path
    manifest: ReleaseManifest
    changed: bool


def build(checkout: Path, output: Path, model: Path, progress: Progress) -> Demo:
    """Build, sign and publish into `output`; nothing changes where nothing is new.

    Keys and version numbers in `output` are kept, so that a host which installed an
    earlier demo takes the next one as an update.

    Raises:
        BuildFailed, KeysUnusable, ModelRefused: with what to do.
    """
    now = datetime.now(UTC)
    keys.create(output / "keys")
    publisher = Publisher(output / "repository", keys.load(output / "keys"), now)
    root = publisher.create_root()
    trusted_root = output / "trusted-root.json"
    if not trusted_root.exists() or trusted_root.read_bytes() != root:
        fsops.write_file(trusted_root, root, 0o644)
    package = source.read(checkout)
    names = ("updater", *(f"runtime-{accelerator}" for accelerator in ACCELERATORS), "node")
    packed = {name: layers.build(name, checkout, package, progress) for name in names}
    with tempfile.TemporaryDirectory(prefix="b3iq-release-", dir=output) as work:
        models = (_model(model, Path(work), progress),)
        manifest, changed = _publish(publisher, package, packed, models, Path(work))
    changed = publisher.refresh() or changed
    return Demo(output / "repository", trusted_root, manifest, changed)


def ensure_model(directory: Path) -> None:
    """Make the embedded model, or take it from its own cache.

    Raises:
        BuildFailed: its build failed; its own words are on standard error.
    """
    if (directory / "manifest.json").exists():
        return
    done = subprocess.run(
        [sys.executable, "-m", "release.smoke_model", "--output", str(directory)],
        check=False,
        stdout=sys.stderr,  # standard output is the answer of `--json`
    )
    if done.returncode != 0:
        raise BuildFailed("The embedded model could not be made.", remedy="See the lines above.")


def _model(directory: Path, work: Path, progress: Progress) -> PackedModel:
    described, sha256 = release_manifest.describe_model(directory)
    tree = work / described.name
    tree.mkdir()
    # Exactly the files of the manifest: a stray file in a working directory stays here.
    for name in ("manifest.json", *(file.path for file in described.files)):
        (tree / name).write_bytes((directory / name).read_bytes())
    with progress.step(f"{described.name}: packing", tree_bytes(tree)) as advance:
        packed = pack(tree, work / f"{described.name}.tar.zst", advance)
    return PackedModel(described, sha256, packed)


def _publish(
    publisher: Publisher,
    package: source.Source,
    packed: dict[str, Packed],
    models: tuple[PackedModel, ...],
    work: Path,
) -> tuple[ReleaseManifest, bool]:
    """Publish unless the standing release has the very same content."""
    standing = _standing(publisher)
    if standing is not None:
        same = release_manifest.assemble(
            version=standing.version,
            sequence=standing.sequence,
            source=package,
            layers=packed,
            models=models,
        )
        if same == standing and publisher.target(POLICY_TARGET) == POLICY.read_bytes():
            return standing, False
    sequence = standing.sequence + 1 if standing is not None else 1
    manifest = release_manifest.assemble(
        version=f"{__version__}+demo{sequence}.{package.sha256[:8]}",
        sequence=sequence,
        source=package,
        layers=packed,
        models=models,
    )
    publisher.publish(_targets(manifest, packed, models, work))
    return manifest, True


def _standing(publisher: Publisher) -> ReleaseManifest | None:
    pointer = publisher.target(channel_target(CHANNEL))
    if pointer is None:
        return None
    channel = Channel.model_validate_json(pointer)
    raw = publisher.target(channel.manifest_target)
    return None if raw is None else ReleaseManifest.model_validate_json(raw)


def _targets(
    manifest: ReleaseManifest,
    packed: dict[str, Packed],
    models: tuple[PackedModel, ...],
    work: Path,
) -> dict[str, Path]:
    pointer = Channel(
        format=CHANNEL_FORMAT,
        channel=CHANNEL,
        version=manifest.version,
        sequence=manifest.sequence,
    )
    (work / "manifest").write_bytes(release_manifest.encode(manifest))
    (work / "channel").write_text(pointer.model_dump_json(indent=1) + "\n")
    return {
        manifest_target(manifest.version): work / "manifest",
        channel_target(CHANNEL): work / "channel",
        POLICY_TARGET: POLICY,
        **{layer.target: packed[layer.name].path for layer in manifest.layers},
        **{
            entry.target: model.packed.path
            for entry, model in zip(manifest.models, models, strict=True)
        },
    }

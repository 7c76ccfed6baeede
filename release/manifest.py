"""Write `release-manifest.json` out of packed layers and models."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from b3iq.models import integrity
from b3iq.models.manifest import MANIFEST_NAME, ModelManifest
from b3iq.updater.manifest import (
    MANIFEST_FORMAT,
    Accelerator,
    DataSchema,
    Golden,
    Health,
    Layer,
    LayerKind,
    Message,
    Model,
    ReleaseManifest,
    digest,
    layer_install_path,
)
from release.archive import Packed
from release.source import Source

_UNITS = ("b3iq-engine.service", "b3iq-node.service", "b3iq-node.socket")
_SOAK_S = 30


@dataclass(frozen=True)
class PackedModel:
    """A model directory's manifest and its archive."""

    manifest: ModelManifest
    manifest_sha256: str
    packed: Packed


def describe_model(directory: Path) -> tuple[ModelManifest, str]:
    """Check a model directory whole; its manifest and the digest of that.

    Raises:
        ModelRefused: the directory is not exactly its manifest.
    """
    manifest = integrity.verify(directory)
    return manifest, digest((directory / MANIFEST_NAME).read_bytes())


def assemble(
    *,
    version: str,
    sequence: int,
    source: Source,
    layers: Mapping[str, Packed],
    models: tuple[PackedModel, ...],
) -> ReleaseManifest:
    """The manifest of a release.

    Args:
        layers: by name: `node`, `updater`, `runtime-cpu`, `runtime-cuda`.
    """
    return ReleaseManifest(
        format=MANIFEST_FORMAT,
        version=version,
        sequence=sequence,
        source_commit=source.commit,
        source_dirty=source.dirty,
        source_sha256=source.sha256,
        layers=tuple(_layer(name, packed, version) for name, packed in sorted(layers.items())),
        models=tuple(_model(model) for model in models),
        data_schema=_data_schema(source),
        health=Health(
            units=_UNITS,
            golden=tuple(golden for model in models for golden in _golden(model.manifest)),
            soak_s=_SOAK_S,
        ),
    )


def encode(manifest: ReleaseManifest) -> bytes:
    """The exact bytes that are signed."""
    return manifest.model_dump_json(indent=1).encode() + b"\n"


def _layer(name: str, packed: Packed, version: str) -> Layer:
    kind: LayerKind = "node"
    accelerator: Accelerator | None = None
    if name == "updater":
        kind = "updater"
    elif name.startswith("runtime-"):
        kind = "runtime"
        accelerator = "cuda" if name == "runtime-cuda" else "cpu"
    suffix = "".join(packed.path.suffixes)
    shared = layer_install_path(name, packed.sha256)
    node = kind == "node"
    return Layer(
        kind=kind,
        accelerator=accelerator,
        install_path=f"releases/{version}" if node else shared,
        target=f"releases/{version}/node{suffix}" if node else f"releases/{shared}{suffix}",
        sha256=packed.sha256,
        length=packed.length,
        unpacked_bytes=packed.unpacked_bytes,
        entries=packed.entries,
    )


def _model(model: PackedModel) -> Model:
    name, version = model.manifest.name, model.manifest.version
    return Model(
        name=name,
        version=version,
        manifest_sha256=model.manifest_sha256,
        target=f"models/{name}/{model.manifest_sha256[:12]}.tar.zst",
        sha256=model.packed.sha256,
        length=model.packed.length,
        unpacked_bytes=model.packed.unpacked_bytes,
        entries=model.packed.entries,
    )


def _golden(manifest: ModelManifest) -> tuple[Golden, ...]:
    return tuple(
        Golden(
            name=golden.name,
            model=manifest.name,
            messages=tuple(
                Message(role=message.role, content=message.content) for message in golden.messages
            ),
            max_tokens=golden.max_tokens,
            expect=golden.expect,
        )
        for golden in manifest.golden
    )


def _data_schema(source: Source) -> DataSchema:
    """Migrations are numbered files; 0 is a node without a database."""
    pattern = re.compile(r"b3iq/store/migrations/versions/(\d{4})_\w+\.py")
    numbers = [int(found[1]) for path in source.files if (found := pattern.fullmatch(path))]
    return DataSchema(lowest=0, highest=max(numbers, default=0))

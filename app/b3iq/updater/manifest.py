"""The release manifest and the channel pointer: closed schemas, signed as TUF targets.

Evolution law (format ``b3iq-release-manifest-v1``): a released field is never renamed,
retyped or removed; what a reader of v1 must not ignore gets a new format name. Unknown
fields are refused, because an updater that skips what it does not know would install
something else than what was signed.

Install paths are not free text: each follows from the layer's kind and digest, and a
manifest that says otherwise is refused, so no manifest can point outside the layout.
"""

from __future__ import annotations

import hashlib
from itertools import pairwise
from typing import Annotated, Literal, Self, TypeVar

from pydantic import AwareDatetime, Field, ValidationError, model_validator

from b3iq.schemas import Closed, Sha256, faults
from b3iq.updater.refusals import LayerUnknown, ManifestRefused

MANIFEST_FORMAT: Literal["b3iq-release-manifest-v1"] = "b3iq-release-manifest-v1"
CHANNEL_FORMAT: Literal["b3iq-channel-v1"] = "b3iq-channel-v1"
# Both are read whole into memory; a real one has a few kilobytes.
MANIFEST_LENGTH_LIMIT = 1024 * 1024
CHANNEL_LENGTH_LIMIT = 16 * 1024

Name = Annotated[str, Field(pattern=r"^[a-z0-9]+([._-][a-z0-9]+)*$", max_length=64)]
Version = Annotated[
    str, Field(pattern=r"^[0-9]+\.[0-9]+\.[0-9]+(\+[a-z0-9]+(\.[a-z0-9]+)*)?$", max_length=64)
]
TargetPath = Annotated[
    str, Field(pattern=r"^[a-z0-9][a-z0-9._+-]*(/[a-z0-9][a-z0-9._+-]*)+$", max_length=200)
]
Length = Annotated[int, Field(ge=1, le=1 << 40)]
Entries = Annotated[int, Field(ge=1, le=1_000_000)]
Accelerator = Literal["cpu", "cuda"]
LayerKind = Literal["node", "runtime", "updater"]


class Archive(Closed):
    """An archive as a TUF target and as the tree that it unpacks to.

    Attributes:
        target: TUF target path; ``.tar.zst`` or ``.tar.gz``.
        length: bytes of the archive.
        unpacked_bytes: sum of the file sizes in it; more is refused while unpacking.
        entries: files and directories in it; more is refused while unpacking.
    """

    target: TargetPath
    sha256: Sha256
    length: Length
    unpacked_bytes: Length
    entries: Entries

    @model_validator(mode="after")
    def _known_form(self) -> Self:
        if not self.target.endswith((".tar.zst", ".tar.gz")):
            raise ValueError("target must be a .tar.zst or a .tar.gz archive")
        return self


class Layer(Archive):
    """One layer of a release.

    Attributes:
        accelerator: of a runtime layer, what it computes on; else null.
        install_path: below /opt/b3iq: `releases/<version>` for the node layer,
            `layers/<name>-<first 12 hex of sha256>` for the others.
    """

    kind: LayerKind
    accelerator: Accelerator | None
    install_path: TargetPath

    @property
    def name(self) -> str:
        """`node`, `updater`, `runtime-cpu` or `runtime-cuda`."""
        return f"runtime-{self.accelerator}" if self.kind == "runtime" else self.kind

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.kind == "runtime") != (self.accelerator is not None):
            raise ValueError("accelerator belongs to runtime layers, and to each of them")
        if self.kind != "node" and self.install_path != layer_install_path(self.name, self.sha256):
            raise ValueError("install_path does not follow from name and sha256")
        return self


class Model(Archive):
    """One model; it unpacks to the models directory under its name.

    Attributes:
        manifest_sha256: digest of the `manifest.json` inside, which lists every file.
    """

    name: Name
    version: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.+-]*$", max_length=64)]
    manifest_sha256: Sha256


class DataSchema(Closed):
    """Database schema revisions that this release reads, lowest to highest."""

    lowest: Annotated[int, Field(ge=0)]
    highest: Annotated[int, Field(ge=0)]

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.lowest > self.highest:
            raise ValueError("lowest is above highest")
        return self


class Message(Closed):
    """One chat message of a golden inference."""

    role: Literal["system", "user", "assistant"]
    content: str


class Golden(Closed):
    """An inference whose exact answer tells that the installed release works."""

    name: str
    model: Name
    messages: Annotated[tuple[Message, ...], Field(min_length=1)]
    max_tokens: Annotated[int, Field(ge=1)]
    expect: str


class Health(Closed):
    """What must hold before a release counts as good.

    Attributes:
        units: systemd units that must be active.
        soak_s: seconds that they must stay so.
    """

    units: tuple[Annotated[str, Field(pattern=r"^[a-z0-9-]+\.(service|socket)$")], ...]
    golden: tuple[Golden, ...]
    soak_s: Annotated[int, Field(ge=0, le=3600)]


class ReleaseManifest(Closed):
    """`release-manifest.json`: everything that a node of this release consists of.

    Attributes:
        sequence: grows with every release; a node never goes back below the one it runs.
        source_commit: git commit of the source.
        source_dirty: the working tree differed from that commit (demo builds only).
        source_sha256: digest over the packed source files.
    """

    format: Literal["b3iq-release-manifest-v1"]
    version: Version
    sequence: Annotated[int, Field(ge=1)]
    source_commit: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
    source_dirty: bool
    source_sha256: Sha256
    layers: Annotated[tuple[Layer, ...], Field(min_length=3)]
    models: tuple[Model, ...]
    data_schema: DataSchema
    health: Health

    @model_validator(mode="after")
    def _whole(self) -> Self:
        names = [layer.name for layer in self.layers]
        if len(set(names)) != len(names):
            raise ValueError("a layer is named twice")
        if not {"node", "updater"} <= set(names):
            raise ValueError("a release needs a node and an updater layer")
        if self.layer("node").install_path != f"releases/{self.version}":
            raise ValueError("install_path of the node layer does not follow from version")
        if len({model.name for model in self.models}) != len(self.models):
            raise ValueError("a model is named twice")
        return self

    def layer(self, name: str) -> Layer:
        """The layer with this name.

        Raises:
            LayerUnknown: the release has none.
        """
        for layer in self.layers:
            if layer.name == name:
                return layer
        known = ", ".join(layer.name for layer in self.layers)
        raise LayerUnknown(
            f"Release {self.version} has no layer {name}; it has {known}.",
            remedy="Choose an accelerator that the release was built for.",
        )

    def archives(self) -> tuple[Archive, ...]:
        """Every archive of the release."""
        return (*self.layers, *self.models)

    def needed(self, accelerator: Accelerator) -> tuple[Archive, ...]:
        """Every archive that a host with this accelerator installs."""
        names = ("updater", f"runtime-{accelerator}", "node")
        return (*(self.layer(name) for name in names), *self.models)


class Wave(Closed):
    """From `starts_at` on, this part of all nodes may install the release."""

    starts_at: AwareDatetime
    fraction: Annotated[float, Field(gt=0, le=1)]


class Channel(Closed):
    """`channels/<name>.json`: which release a channel stands at.

    Attributes:
        waves: growing parts of all nodes; without any, every node may install at once.
    """

    format: Literal["b3iq-channel-v1"]
    channel: Name
    version: Version
    sequence: Annotated[int, Field(ge=1)]
    waves: Annotated[tuple[Wave, ...], Field(max_length=64)] = ()

    @model_validator(mode="after")
    def _waves_grow(self) -> Self:
        for one, following in pairwise(self.waves):
            if one.starts_at >= following.starts_at or one.fraction >= following.fraction:
                raise ValueError("waves must begin later and be larger, one after the other")
        return self

    @property
    def manifest_target(self) -> str:
        """TUF target path of the release manifest."""
        return manifest_target(self.version)


Schema = TypeVar("Schema", ReleaseManifest, Channel)


def parse(schema: type[Schema], raw: bytes, what: str) -> Schema:
    """Read verified bytes into their schema.

    Raises:
        ManifestRefused: naming each field that does not fit.
    """
    try:
        return schema.model_validate_json(raw)
    except ValidationError as error:
        raise ManifestRefused(
            f"{what} is signed but does not fit its schema: {'; '.join(faults(error))}.",
            remedy="Use an updater of the same release, or ask who published it.",
        ) from error


def layer_install_path(name: str, sha256: str) -> str:
    """Where a shared layer lies below /opt/b3iq: its content names it."""
    return f"layers/{name}-{sha256[:12]}"


def manifest_target(version: str) -> str:
    """TUF target path of a release's manifest."""
    return f"releases/{version}/release-manifest.json"


def channel_target(channel: str) -> str:
    """TUF target path of a channel pointer."""
    return f"channels/{channel}.json"


def digest(raw: bytes) -> str:
    """Hex SHA-256."""
    return hashlib.sha256(raw).hexdigest()
